import { gatewayIp, loadBalancerNetwork, nodeIp, podNetwork, uplink } from '../manifests/addresses.ts'
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
  ]
}

/** A pod's veth, made in its node's namespace: a /32, and a gateway that every pod shares. */
export function podSteps(pod: LabPod, nodeNetns: string): [atNode: Step, atPod: Step] {
  const { ip, interfaceName, netns } = pod
  return [
    {
      netns: nodeNetns,
      lines: [
        `link add ${interfaceName} address ${hostMac} type veth peer name eth0 address ${podMac(ip)} netns ${netns}`,
        `link set ${interfaceName} up`,
        `route add ${ip}/32 dev ${interfaceName} scope link`,
        `neigh add ${ip} lladdr ${podMac(ip)} dev ${interfaceName} nud permanent`,
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
      ],
    },
  ]
}

/** Lines that take a pod's device away at once; its namespace may live on while a program holds it. */
export const podRemoval = (pod: LabPod): string[] =>
  pod.interfaceName === null ? [] : [`link del ${pod.interfaceName}`]

/** Kernel settings of a namespace that forwards. IPv6 is off everywhere: the lab is IPv4, and its chatter would only be noise. */
export const routerSettings: Readonly<Record<string, string>> = {
  'net/ipv6/conf/all/disable_ipv6': '1',
  'net/ipv6/conf/default/disable_ipv6': '1',
  'net/ipv4/ip_forward': '1',
  'net/ipv4/conf/all/rp_filter': '0',
  'net/ipv4/conf/default/rp_filter': '0',
  'net/ipv4/conf/all/send_redirects': '0',
  'net/ipv4/conf/default/send_redirects': '0',
}

/** Kernel settings of every other namespace. */
export const endSettings: Readonly<Record<string, string>> = {
  'net/ipv6/conf/all/disable_ipv6': '1',
  'net/ipv6/conf/default/disable_ipv6': '1',
  'net/ipv4/conf/all/rp_filter': '0',
  'net/ipv4/conf/default/rp_filter': '0',
}
