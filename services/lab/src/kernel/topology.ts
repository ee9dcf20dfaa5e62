import {
  gatewayIp,
  ip6Of,
  loadBalancerNetwork,
  nodeIp,
  podNetwork,
  podNetwork6,
  uplink,
} from '../manifests/addresses.ts'
import type { LabNode, LabPlan, LabPod } from '../manifests/plan.ts'

/** Lines of `ip -batch`, and the namespace to run them in. */
export interface Step {
  readonly netns: string
  readonly lines: readonly string[]
}

/** Names of the namespaces that are neither a node's nor a pod's. */
const fabricOf = (id: string) => `${id}-fabric`
/** The network namespace that plays the outside world. */
export const internetOf = (id: string) => `${id}-internet`

/** Link-local gateway of every pod, as Calico has it. */
const podGateway = '169.254.1.1'
const podGateway6 = 'fe80::1'
/** Calico gives every host-side interface this address. */
const hostMac = 'ee:ee:ee:ee:ee:ee'

/** Hardware address of a pod, from its IP: neighbours are known from the start, no ARP is needed. */
const podMac = (ip: string) =>
  `02:00:${ip
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`

/** Namespaces of the world around the pods: nodes, the network between them, and the outside. */
export const groundNetns = (plan: LabPlan) => [
  fabricOf(plan.id),
  internetOf(plan.id),
  ...plan.nodes.map(({ netns }) => netns),
]

/**
 * The nodes' network: a bridge that is also the router to the outside world. Every device is made inside a namespace of the lab,
 * so that the machine's own namespace never has one.
 */
export function groundSteps(plan: LabPlan): Step[] {
  const fabric = fabricOf(plan.id)
  const internet = internetOf(plan.id)
  return [
    {
      netns: fabric,
      lines: [
        'link set lo up',
        'link add br0 type bridge',
        `addr add ${gatewayIp}/17 dev br0`,
        ...(plan.nodes.every(({ ip6 }) => ip6 === null) ? [] : addresses6(gatewayIp, 'br0')),
        'link set br0 up',
        ...plan.nodes.flatMap((node) => [
          `link add ${node.name} type veth peer name eth0 netns ${node.netns}`,
          `link set ${node.name} master br0 up`,
        ]),
        `link add uplink type veth peer name eth0 netns ${internet}`,
        `addr add ${uplink.fabric}/30 dev uplink`,
        'link set uplink up',
        // Load balancers are reached through the first node, which spreads over every pod.
        `route add ${loadBalancerNetwork} via ${nodeIp(1)}`,
        `route add default via ${uplink.internet}`,
      ],
    },
    {
      netns: internet,
      lines: [
        'link set lo up',
        `addr add ${uplink.internet}/30 dev eth0`,
        'link set eth0 up',
        `route add default via ${uplink.fabric}`,
      ],
    },
    ...plan.nodes.map((node) => ({ netns: node.netns, lines: nodeLines(node, plan) })),
  ]
}

/** On the nodes' network: who forwards asks for its neighbours from a link-local address. */
const addresses6 = (ip: string, device: string) => [
  `addr add ${ip6Of(ip)}/64 dev ${device} nodad`,
  `addr add fe80::${ip.split('.')[3]}/64 dev ${device} nodad`,
]

function nodeLines(node: LabNode, plan: LabPlan): string[] {
  const others = plan.nodes.filter((other) => other !== node)
  return [
    'link set lo up',
    `addr add ${node.ip}/17 dev eth0`,
    'link set eth0 up',
    `route add default via ${gatewayIp}`,
    // An address that no pod has goes nowhere, rather than back and forth between the node and the router.
    `route add blackhole ${node.podCidr}`,
    ...others.map((other) => `route add ${other.podCidr} via ${other.ip}`),
    ...(others.length === 0 ? [] : [`route add blackhole ${podNetwork}`]),
    ...(node.ip6 === null
      ? []
      : [
          ...addresses6(node.ip, 'eth0'),
          `route add blackhole ${node.podCidr6}`,
          ...others.map((other) => `route add ${other.podCidr6} via ${other.ip6}`),
          ...(others.length === 0 ? [] : [`route add blackhole ${podNetwork6}`]),
        ]),
  ]
}

/** A pod's veth, made in its node's namespace: a /32 and a /128, and gateways that every pod shares. */
export function podSteps(pod: LabPod, nodeNetns: string): [atNode: Step, atPod: Step] {
  const { ip, ip6, interfaceName, netns } = pod
  return [
    {
      netns: nodeNetns,
      lines: [
        `link add ${interfaceName} address ${hostMac} type veth peer name eth0 address ${podMac(ip)} netns ${netns}`,
        `link set ${interfaceName} up`,
        `route add ${ip}/32 dev ${interfaceName} scope link`,
        `neigh add ${ip} lladdr ${podMac(ip)} dev ${interfaceName} nud permanent`,
        ...(ip6 === null
          ? []
          : [
              `addr add ${podGateway6}/64 dev ${interfaceName} nodad`,
              `route add ${ip6}/128 dev ${interfaceName}`,
              `neigh add ${ip6} lladdr ${podMac(ip)} dev ${interfaceName} nud permanent`,
            ]),
      ],
    },
    {
      netns,
      lines: [
        'link set lo up',
        `addr add ${ip}/32 dev eth0`,
        'link set eth0 up',
        `neigh add ${podGateway} lladdr ${hostMac} dev eth0 nud permanent`,
        `route add ${podGateway} dev eth0 scope link`,
        `route add default via ${podGateway} dev eth0 onlink`,
        ...(ip6 === null
          ? []
          : [
              `addr add ${ip6}/128 dev eth0 nodad`,
              `neigh add ${podGateway6} lladdr ${hostMac} dev eth0 nud permanent`,
              `route add default via ${podGateway6} dev eth0`,
            ]),
      ],
    },
  ]
}

/** Lines that take a pod's device away at once; its namespace may live on while a program holds it. */
export const podRemoval = (pod: LabPod): string[] =>
  pod.interfaceName === null ? [] : [`link del ${pod.interfaceName}`]

type Settings = Readonly<Record<string, string>>

/** No address but those that are given, and no talk of routers: it would only be noise. */
const ipv6Settings = (hasIpv6: boolean): Settings => ({
  'net/ipv6/conf/all/disable_ipv6': hasIpv6 ? '0' : '1',
  'net/ipv6/conf/default/disable_ipv6': hasIpv6 ? '0' : '1',
  'net/ipv6/conf/default/addr_gen_mode': '1',
  'net/ipv6/conf/default/accept_ra': '0',
  'net/ipv6/conf/default/accept_dad': '0',
})

/** Kernel settings of a namespace that forwards. */
export const routerSettings = (hasIpv6: boolean): Settings => ({
  ...ipv6Settings(hasIpv6),
  ...(hasIpv6 ? { 'net/ipv6/conf/all/forwarding': '1' } : {}),
  'net/ipv4/ip_forward': '1',
  'net/ipv4/conf/all/rp_filter': '0',
  'net/ipv4/conf/default/rp_filter': '0',
  'net/ipv4/conf/all/send_redirects': '0',
  'net/ipv4/conf/default/send_redirects': '0',
})

/** Kernel settings of every other namespace. */
export const endSettings = (hasIpv6: boolean): Settings => ({
  ...ipv6Settings(hasIpv6),
  'net/ipv4/conf/all/rp_filter': '0',
  'net/ipv4/conf/default/rp_filter': '0',
})
