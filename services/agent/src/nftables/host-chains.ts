import { type Direction, type Endpoint, type FailsafePort, hasPorts, type PolicyModel } from '@margay/schemas'
import type { NodePolicy } from '../dataplane/dataplane.ts'
import { workloadInterfaces } from './base-chains.ts'
import { familyOf } from './cidr.ts'
import { clearMarksIfAny } from './marks.ts'
import { type Chain, dispatchMap, fixedSet, type NamedSet, type Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/**
 * How packets to and from processes of the node get to the chains of host endpoints. Of all interfaces but loopback and those of
 * workloads, a named one goes before `*`. A node without host endpoints has none of this.
 */
export interface HostChains {
  readonly chains: ReadonlyMap<string, Chain>
  readonly sets: ReadonlyMap<string, NamedSet>
  /** Rules of the input hook. */
  readonly input: readonly Rule[]
  /** What decides about packets of workloads to the node, when the node's host endpoints are to. */
  readonly fromWorkload: readonly Rule[]
}

const noHostChains: HostChains = { chains: new Map(), sets: new Map(), input: [], fromWorkload: [] }

/** The chain of ports that are open whatever policy says. */
export const failsafeChain = (direction: Direction) => (direction === 'ingress' ? 'failsafe-in' : 'failsafe-out')

/**
 * What a host must hear and say for IPv6 to work on its own links (RFC 4890, 4.4.1): discovery of routers and neighbours, router
 * advertisements, and multicast listening.
 */
const neighbours = fixedSet('icmpv6_type', ['130', '131', '132', '133', '134', '135', '136', '143'])
const neighbourDiscovery = ['icmpv6 type @host-neighbours', 'accept']

export function hostChains(
  {
    node,
    model,
    hosts,
  }: Pick<NodePolicy, 'node' | 'hosts'> & {
    readonly model: Pick<PolicyModel, 'failsafes' | 'endpointToHostAction'>
  },
  deps: {
    readonly classChain: (endpoint: Endpoint, direction: Direction) => string
    readonly sets: SetCollector
  },
): HostChains {
  if (hosts.named.size === 0 && hosts.rest === null) return noHostChains
  const { classChain, sets } = deps
  const isAsked = model.endpointToHostAction(node) === 'return'
  const rest = (direction: Direction) => (hosts.rest === null ? [] : [[`goto ${classChain(hosts.rest, direction)}`]])
  const byInterface = (direction: Direction) =>
    dispatchMap(
      'ifname',
      new Map([...hosts.named].map(([name, endpoint]) => [`"${name}"`, `goto ${classChain(endpoint, direction)}`])),
    )
  const byAddress = (family: 4 | 6) =>
    dispatchMap(
      family === 4 ? 'ipv4_addr' : 'ipv6_addr',
      new Map(
        [...hosts.owners]
          .filter(([ip, endpoint]) => endpoint !== hosts.rest && familyOf(ip) === family)
          .map(([ip, endpoint]) => [ip, `goto ${classChain(endpoint, 'ingress')}`]),
      ),
    )
  const failsafes = (direction: Direction): [string, Chain] => [
    failsafeChain(direction),
    { hook: null, rules: failsafeLines(model.failsafes(direction, node), direction, sets) },
  ]
  return {
    chains: new Map([
      failsafes('ingress'),
      failsafes('egress'),
      [
        'to-host',
        {
          hook: null,
          rules: [['iifname "lo"', 'return'], neighbourDiscovery, ['iifname vmap @to-hosts'], ...rest('ingress')],
        },
      ],
      [
        'from-host',
        {
          hook: null,
          rules: [
            ['oifname "lo"', 'return'],
            [`oifname "${workloadInterfaces}"`, 'return'],
            neighbourDiscovery,
            ['oifname vmap @from-hosts'],
            ...rest('egress'),
          ],
        },
      ],
      [
        'output',
        {
          hook: 'type filter hook output priority filter; policy accept;',
          rules: [['ct status dnat', 'accept'], ['jump from-host'], clearMarksIfAny],
        },
      ],
      // The output hook shows the interface of the destination before DNAT; this one shows where the packet really goes.
      [
        'output-after-nat',
        {
          hook: 'type filter hook postrouting priority mangle; policy accept;',
          rules: [['ct status dnat', 'fib saddr type local', 'jump from-host'], clearMarksIfAny],
        },
      ],
    ]),
    sets: new Map([
      ['host-neighbours', neighbours],
      ['to-hosts', byInterface('ingress')],
      ['from-hosts', byInterface('egress')],
      ...(isAsked
        ? ([
            ['own-addresses-4', byAddress(4)],
            ['own-addresses-6', byAddress(6)],
          ] as const)
        : []),
    ]),
    input: [[`iifname != "${workloadInterfaces}"`, 'jump to-host'], clearMarksIfAny],
    fromWorkload: isAsked
      ? [['ip daddr vmap @own-addresses-4'], ['ip6 daddr vmap @own-addresses-6'], ...rest('ingress')]
      : [],
  }
}

/** One rule for each protocol and network at the other end. A network of every IPv4 address stands for IPv6 too. */
function failsafeLines(ports: readonly FailsafePort[], direction: Direction, sets: SetCollector): Rule[] {
  const groups = new Map<string, FailsafePort[]>()
  for (const port of ports) {
    if (!hasPorts(port.protocol)) continue
    const key = `${port.protocol} ${port.net}`
    groups.set(key, [...(groups.get(key) ?? []), port])
  }
  return [...groups.values()].flatMap((group) => {
    const { protocol, net } = group[0] as FailsafePort
    const family = familyOf(net)
    const networks = family === null ? 'none' : sets.networks([net], family)
    if (networks === 'none') return []
    const numbers = sets.ports(group.map(({ port }) => ({ first: port, last: port })))
    const address = `${family === 4 ? 'ip' : 'ip6'} ${direction === 'ingress' ? 'saddr' : 'daddr'} ${networks}`
    return [[...(networks === 'all' ? [] : [address]), `meta l4proto ${protocol}`, `th dport ${numbers}`, 'accept']]
  })
}
