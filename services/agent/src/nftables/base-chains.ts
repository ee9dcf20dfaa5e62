import type { EndpointToHostAction } from '@margay/schemas'
import type { HostChains } from './host-chains.ts'
import { classBits, clearEveryMarkIfAny, clearMarks, hexadecimal } from './marks.ts'
import { type Chain, fixedSet, type NamedSet, type Rule } from './ruleset.ts'

/** NFLOG groups of ingress and egress verdicts. */
export const nflogGroups = { ingress: 1, egress: 2 } as const

/** Host-side interfaces of pods begin with this; one that no endpoint owns is dropped. */
export const workloadPrefix = 'cali'
export const workloadInterfaces = `${workloadPrefix}*`

/** Sets of the base chains: router and neighbour discovery, and multicast listening, without which IPv6 does not work (RFC 4890, 4.4.1). */
export const baseSets: ReadonlyMap<string, NamedSet> = new Map([
  ['neighbours', fixedSet('icmpv6_type', ['130', '131', '132', '133', '135', '136'])],
])

const neighbourDiscovery = ['icmpv6 type @neighbours', 'accept']

/** A mark that comes with a packet must not lead one of an unknown interface to somebody's class. */
const clearClassIfAny: Rule = [`meta mark & ${hexadecimal(classBits)} != 0`, clearMarks]

/**
 * From an interface to its class in two steps. The kernel walks everything that a map leads to whenever rules change, for each of its
 * elements: the map of interfaces leads to no more than a mark, and that of classes is as long as there are classes. Packets of connections
 * that stand get no further than the first step.
 */
const dispatch = (by: 'iifname' | 'oifname', way: 'from' | 'to'): readonly Rule[] => [
  [`${by} vmap @${way}-workloads`],
  neighbourDiscovery,
  [`meta mark & ${hexadecimal(classBits)} vmap @${way}-classes`],
  ['counter', 'drop'],
]

/** The chains that the kernel calls, and how they hand packets of workload interfaces to the chains of their endpoints. */
export function baseChains(toHost: EndpointToHostAction, hosts: HostChains): Map<string, Chain> {
  const from = `iifname "${workloadInterfaces}"`
  const to = `oifname "${workloadInterfaces}"`
  return new Map<string, Chain>([
    [
      'anti-spoofing',
      {
        hook: 'type filter hook prerouting priority raw; policy accept;',
        rules: [
          // Most packets come from where their address is; for the others the routes are asked, which takes several times as long.
          ['iifname . ip saddr @sources-4', 'accept'],
          ['iifname . ip6 saddr @sources-6', 'accept'],
          [from, ...neighbourDiscovery],
          [from, 'fib saddr . iif oif missing', 'counter', 'drop'],
          ...hosts.beforeTracking,
        ],
      },
    ],
    [
      'forward',
      {
        hook: 'type filter hook forward priority filter; policy accept;',
        rules: [
          ...hosts.forwardIn,
          [from, 'jump from-workload'],
          [to, 'jump to-workload'],
          ...hosts.forwardOut,
          clearEveryMarkIfAny,
        ],
      },
    ],
    [
      'input',
      {
        hook: 'type filter hook input priority filter; policy accept;',
        rules: [[from, 'jump workload-to-host'], ...hosts.input],
      },
    ],
    ['from-workload', { hook: null, rules: [clearClassIfAny, ...dispatch('iifname', 'from')] }],
    ['to-workload', { hook: null, rules: dispatch('oifname', 'to') }],
    [
      'workload-to-host',
      {
        hook: null,
        rules: [
          neighbourDiscovery,
          ['jump from-workload'],
          [clearMarks],
          ...(toHost === 'return' ? hosts.fromWorkload : [[toHost]]),
        ],
      },
    ],
    ...hosts.chains,
  ])
}
