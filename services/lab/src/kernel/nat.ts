import { loadBalancerNetwork, nodeNetwork, podNetwork, serviceNetwork } from '../manifests/addresses.ts'
import type { LabPlan } from '../manifests/plan.ts'
import type { LabService } from '../manifests/service.ts'

/** Table of the lab in each node's namespace: what kube-proxy would have there. */
export const natTable = 'margay-lab'

/** Chain of one port of one service; names are made of letters that nft takes. */
function chainOf(service: LabService, index: number): string {
  const port = service.ports[index]
  return `svc-${service.namespace}/${service.name}/${port?.port}/${port?.protocol}`
    .replace(/[^A-Za-z0-9/_.-]/g, '_')
    .toLowerCase()
}

/**
 * The nftables transaction that makes a node translate service addresses, node ports and load balancers to pods in turn.
 * `stale` are the service chains of the transaction before; the returned `chains` are those of this one.
 * Tables and base chains stay, so that established connections keep their translation.
 */
export function natRules(plan: LabPlan, stale: readonly string[]): { rules: string; chains: string[] } {
  const table = `ip ${natTable}`
  const chains: string[] = []
  const bodies: string[] = []
  const services: string[] = []
  const nodePorts: string[] = []
  for (const service of plan.services) {
    service.ports.forEach((port, i) => {
      if (port.protocol === 'SCTP') return
      const targets = service.endpoints.flatMap(({ pod, ports }) =>
        ports[i] == null ? [] : [`${pod.ip} . ${ports[i]}`],
      )
      if (targets.length === 0) return
      const chain = chainOf(service, i)
      const protocol = port.protocol.toLowerCase()
      const map = targets.map((target, n) => `${n} : ${target}`).join(', ')
      chains.push(chain)
      bodies.push(
        `add rule ${table} ${chain} meta l4proto ${protocol} dnat to numgen inc mod ${targets.length} map { ${map} }`,
      )
      for (const ip of [service.clusterIp, service.loadBalancerIp])
        if (ip !== null) services.push(`${ip} . ${protocol} . ${port.port} : goto ${chain}`)
      if (port.nodePort !== null) nodePorts.push(`${protocol} . ${port.nodePort} : goto ${chain}`)
    })
  }
  const base = {
    prerouting: ['{ type nat hook prerouting priority dstnat; }', ...translation],
    output: ['{ type nat hook output priority -100; }', ...translation],
    postrouting: [
      '{ type nat hook postrouting priority srcnat; }',
      // The answer to a translated connection from outside the pods must come back this way.
      `ct status dnat ip saddr != ${podNetwork} masquerade`,
      // So must that of a pod which used a node port of another node.
      `ct status dnat ct original ip daddr != { ${serviceNetwork}, ${loadBalancerNetwork} } masquerade`,
      // A pod that reaches itself through its service would answer itself past the node.
      'ct status dnat ip saddr . ip daddr @hairpin masquerade',
      // Beyond the nodes nobody knows a pod's address.
      `ip saddr ${podNetwork} ip daddr != { ${podNetwork}, ${nodeNetwork} } masquerade`,
    ],
    // After policy (priority 0): a service address without pods behind it refuses, as kube-proxy makes it.
    forward: ['{ type filter hook forward priority 10; }', `ip daddr ${serviceNetwork} reject`],
    local: ['{ type filter hook output priority 10; }', `ip daddr ${serviceNetwork} reject`],
  }
  const hairpin = plan.pods.filter(({ hostNetwork }) => !hostNetwork).map(({ ip }) => `${ip} . ${ip}`)
  const lines = [
    `add table ${table}`,
    `add map ${table} services { type ipv4_addr . inet_proto . inet_service : verdict; }`,
    `add map ${table} nodeports { type inet_proto . inet_service : verdict; }`,
    `add set ${table} hairpin { type ipv4_addr . ipv4_addr; }`,
    ...Object.entries(base).flatMap(([chain, [hook]]) => [
      `add chain ${table} ${chain} ${hook}`,
      `flush chain ${table} ${chain}`,
    ]),
    `flush map ${table} services`,
    `flush map ${table} nodeports`,
    `flush set ${table} hairpin`,
    ...[...new Set([...stale, ...chains])].flatMap((chain) => [
      `add chain ${table} ${chain}`,
      `flush chain ${table} ${chain}`,
    ]),
    ...bodies,
    ...stale.filter((chain) => !chains.includes(chain)).map((chain) => `delete chain ${table} ${chain}`),
    ...elements('services', services),
    ...elements('nodeports', nodePorts),
    ...elements('hairpin', hairpin),
    ...Object.entries(base).flatMap(([chain, [, ...rules]]) =>
      rules.map((rule) => `add rule ${table} ${chain} ${rule}`),
    ),
  ]
  return { rules: `${lines.join('\n')}\n`, chains }
}

const translation = [
  'ip daddr . meta l4proto . th dport vmap @services',
  'fib daddr type local meta l4proto . th dport vmap @nodeports',
]

const elements = (name: string, members: readonly string[]) =>
  members.length === 0 ? [] : [`add element ip ${natTable} ${name} { ${members.join(', ')} }`]
