import { isIP, isIPv4, isIPv6 } from 'node:net'
import { MargayError } from '@margay/kit/errors'
import { canonicalAddress } from '@margay/schemas'
import { internetOf } from './kernel/topology.ts'
import { type LabPlan, type LabPod, podKey } from './manifests/plan.ts'
import type { Caller } from './network.ts'

/** What the other end of a probe may be called. */
export interface Destination {
  /** Name or address to connect to. */
  readonly host: string
  readonly port: number
  /** As it is shown: `ns/name`, a host name or an address. */
  readonly shown: string
}

/** The pod of a name `ns/name`: its own name, or that of the workload that made it. Null when there is none. */
function findPod(plan: LabPlan, name: string): LabPod | null {
  return (
    plan.pods.find((pod) => podKey(pod) === name) ??
    plan.pods.find((pod) => `${pod.namespace}/${pod.workload.name}` === name) ??
    null
  )
}

/** As `findPod`. Throws LAB_POD_UNKNOWN. */
export function requirePod(plan: LabPlan, name: string): LabPod {
  const pod = findPod(plan, name)
  if (pod !== null) return pod
  throw new MargayError('LAB_POD_UNKNOWN', `no pod ${name} in the lab: \`margay lab status\` lists them`, {
    status: 404,
  })
}

/** Who probes: a pod, or a machine of the outside world. */
export type Source =
  | (Caller & { readonly pod: LabPod })
  /** It has an address that a LabInternet gives; it asks no name server. */
  | (Caller & { readonly pod: null })

/** Reads the source of a probe: `ns/pod`, `ns/workload` or `internet/ADDRESS`. Throws LAB_POD_UNKNOWN. */
export function requireSource(plan: LabPlan, name: string): Source {
  const [namespace, ip = ''] = name.split('/')
  if (namespace === 'internet' && isIPv4(ip)) {
    if (!plan.internet.hosts.some(({ address }) => address === ip))
      throw new MargayError('LAB_POD_UNKNOWN', `nobody has the address ${ip} outside: a LabInternet must give it`, {
        status: 404,
      })
    return { pod: null, netns: internetOf(plan.id), namespace: 'default', ip, isBound: true }
  }
  const pod = requirePod(plan, name)
  return { pod, netns: pod.netns, namespace: pod.namespace, ip: pod.ip }
}

/**
 * Reads the destination of a probe: `ns/name:port` (a pod, a workload's pod or a service: the first that has the port), `host:port`, `ip:port` or `[ip6]:port`.
 * Throws LAB_REQUEST_INVALID, LAB_POD_UNKNOWN.
 */
export function parseDestination(plan: LabPlan, text: string): Destination {
  const match = /^(?:([a-z0-9-]+)\/)?([a-z0-9.-]+|\[[0-9a-f:.]+\]):(\d{1,5})$/i.exec(text)
  const port = Number(match?.[3])
  const ip6 = match?.[2]?.startsWith('[') ? match[2].slice(1, -1) : null
  if (!match || (ip6 !== null && (match[1] !== undefined || !isIPv6(ip6))) || port < 1 || port > 65_535) {
    throw new MargayError(
      'LAB_REQUEST_INVALID',
      `${JSON.stringify(text)} is no destination: write NAMESPACE/POD:PORT, NAME:PORT, IP:PORT or [IPV6]:PORT`,
      { status: 400 },
    )
  }
  if (ip6 !== null) return { host: canonicalAddress(ip6), port, shown: `[${ip6}]` }
  const [, namespace, name = ''] = match
  if (namespace === undefined) return { host: name, port, shown: name }
  const path = `${namespace}/${name}`
  const pod = findPod(plan, path)
  const service = plan.services.find((one) => `${one.namespace}/${one.name}` === path)
  // A workload and its service often share a name: the one that has the port is meant.
  const hasPort = (ports: readonly { port: number }[] | undefined) => ports?.some((one) => one.port === port) === true
  const isService = service !== undefined && (pod === null || (podKey(pod) !== path && !hasPort(pod.ports)))
  if (isService && (pod === null || hasPort(service.ports)))
    return { host: `${name}.${namespace}.svc.cluster.local.`, port, shown: path }
  if (pod !== null) return { host: pod.ip, port, shown: path }
  throw new MargayError(
    'LAB_POD_UNKNOWN',
    `neither a pod nor a service ${path} in the lab: \`margay lab status\` lists them`,
    { status: 404 },
  )
}

/** The addresses and ports at which a connection to an address arrives, after translation. */
export function arrivals(plan: LabPlan, address: string, port: number): { ip: string; port: number }[] {
  const found = [{ ip: address, port }]
  const isNode = plan.nodes.some(({ ip }) => ip === address)
  for (const service of plan.services) {
    service.ports.forEach((servicePort, i) => {
      const isAddressed =
        servicePort.port === port && (service.clusterIp === address || service.loadBalancerIp === address)
      if (!isAddressed && !(isNode && servicePort.nodePort === port)) return
      for (const endpoint of service.endpoints) {
        const target = endpoint.ports[i]
        if (target != null) found.push({ ip: endpoint.pod.ip, port: target })
      }
    })
  }
  return found.filter(({ ip }) => isIP(ip) !== 0)
}
