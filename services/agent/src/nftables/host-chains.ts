import type { Direction, Endpoint, PolicyModel, Stage } from '@margay/schemas'
import type { NodePolicy } from '../dataplane/dataplane.ts'
import { workloadInterfaces } from './base-chains.ts'
import { familyOf } from './cidr.ts'
import type { ClassChains } from './class-chains.ts'
import type { HookKind } from './denial.ts'
import { failsafeChains } from './failsafe-chains.ts'
import { accept, clearEveryMarkIfAny, clearMarks, settled } from './marks.ts'
import { type Chain, dispatchMap, fixedSet, type NamedSet, type Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/**
 * How packets get to the chains of host endpoints in each stage (spec 14, 5.2). Of all interfaces but loopback, a named one goes
 * before `*`, in every stage. A node without host endpoints has none of this, and a stage without policies has no chains.
 */
export interface HostChains {
  readonly chains: ReadonlyMap<string, Chain>
  readonly sets: ReadonlyMap<string, NamedSet>
  /** Rules of the hooks that all endpoints share. */
  readonly beforeTracking: readonly Rule[]
  readonly input: readonly Rule[]
  /** Before and after the chains of workloads. */
  readonly forwardIn: readonly Rule[]
  readonly forwardOut: readonly Rule[]
  /** What decides about packets of workloads to the node, when the node's host endpoints are to. */
  readonly fromWorkload: readonly Rule[]
}

const noHostChains: HostChains = {
  chains: new Map(),
  sets: new Map(),
  beforeTracking: [],
  input: [],
  forwardIn: [],
  forwardOut: [],
  fromWorkload: [],
}

/**
 * What a host must hear and say for IPv6 to work on its own links (RFC 4890, 4.4.1): discovery of routers and neighbours, router
 * advertisements, and multicast listening.
 */
const neighbours = fixedSet('icmpv6_type', ['130', '131', '132', '133', '134', '135', '136', '143'])
const neighbourDiscovery: Rule = ['icmpv6 type @host-neighbours', 'accept']

/** A policy's Allow before DNAT is the last word of the host endpoint. */
const isUnsettled = `meta mark & ${settled} == 0`
const settle = [`meta mark & ${accept} != 0`, clearMarks, `meta mark set meta mark | ${settled}`] as const

/** Which packets of a stage are none of a host endpoint's business, and by which interface the others are told apart. */
interface Entry {
  readonly stage: Stage
  readonly direction: Direction
  readonly chain: string
  readonly map: string
  readonly exempt: readonly Rule[]
  readonly hook?: HookKind
}

const isLocal = { ingress: 'iifname "lo"', egress: 'oifname "lo"' } as const
const isWorkload = { ingress: `iifname "${workloadInterfaces}"`, egress: `oifname "${workloadInterfaces}"` } as const

const fromHost: Entry = {
  stage: 'normal',
  direction: 'egress',
  chain: 'from-host',
  map: 'from-hosts',
  exempt: [[isLocal.egress, 'return'], [isWorkload.egress, 'return'], neighbourDiscovery],
}
/** The same where no packet can be rejected, when others are. */
const fromHostAfterNat: Entry = {
  ...fromHost,
  chain: 'from-host-after-nat',
  map: 'from-hosts-after-nat',
  hook: 'other',
}

/** Workloads are policed by their own endpoints, but for what `*` says before DNAT and about forwarded packets. */
const entries: readonly Entry[] = [
  {
    stage: 'untracked',
    direction: 'ingress',
    chain: 'untracked-in',
    map: 'untracked-in-hosts',
    exempt: [[isLocal.ingress, 'return'], [isWorkload.ingress, 'return'], neighbourDiscovery],
  },
  {
    stage: 'untracked',
    direction: 'egress',
    chain: 'untracked-out',
    map: 'untracked-out-hosts',
    exempt: [[isLocal.egress, 'return'], [isWorkload.egress, 'return'], neighbourDiscovery],
  },
  {
    stage: 'pre-dnat',
    direction: 'ingress',
    chain: 'pre-dnat',
    map: 'pre-dnat-hosts',
    exempt: [[isLocal.ingress, 'return'], neighbourDiscovery],
  },
  {
    stage: 'normal',
    direction: 'ingress',
    chain: 'to-host',
    map: 'to-hosts',
    exempt: [[isLocal.ingress, 'return'], neighbourDiscovery],
  },
  fromHost,
  { stage: 'forward', direction: 'ingress', chain: 'forward-in', map: 'forward-in-hosts', exempt: [] },
  { stage: 'forward', direction: 'egress', chain: 'forward-out', map: 'forward-out-hosts', exempt: [] },
]

export function hostChains(
  {
    node,
    model,
    hosts,
    isRejecting,
  }: Pick<NodePolicy, 'node' | 'hosts'> & {
    /** Denied packets are rejected, not dropped. */
    readonly isRejecting: boolean
    readonly model: Pick<PolicyModel, 'failsafes' | 'endpointToHostAction' | 'governing'>
  },
  deps: { readonly classChain: ClassChains; readonly sets: SetCollector },
): HostChains {
  if (hosts.named.size === 0 && hosts.rest === null) return noHostChains
  const { classChain, sets } = deps
  const chains = failsafeChains((direction) => model.failsafes(direction, node), sets)
  const maps = new Map<string, NamedSet>()

  /** The verdict on a packet that has met an endpoint's interface; null where the endpoint has no policy at the stage. */
  function verdict(endpoint: Endpoint | null, { stage, direction, hook }: Entry): string | null {
    if (endpoint === null) return null
    const hasPolicies = model
      .governing(endpoint, direction, stage)
      .some(({ policies }) => policies.some(({ staged }) => !staged))
    return stage === 'normal' || hasPolicies ? `goto ${classChain(endpoint, direction, stage, hook)}` : null
  }

  /** Makes the chain of a stage, which goes on by interface; false when no endpoint has policy there. */
  function enter(entry: Entry): boolean {
    const { direction, chain, map, exempt } = entry
    const rest = verdict(hosts.rest, entry)
    const named = new Map<string, string>()
    for (const [name, endpoint] of hosts.named) {
      // Without policy of its own, an endpoint still goes before `*`.
      const found = verdict(endpoint, entry) ?? (rest === null ? null : 'return')
      if (found !== null) named.set(`"${name}"`, found)
    }
    if (rest === null && named.size === 0) return false
    maps.set(map, dispatchMap('ifname', named))
    const dispatch = `${direction === 'ingress' ? 'iifname' : 'oifname'} vmap @${map}`
    chains.set(chain, { hook: null, rules: [...exempt, [dispatch], ...(rest === null ? [] : [[rest]])] })
    return true
  }

  const afterNat = isRejecting ? fromHostAfterNat : fromHost
  const present = new Set(
    [...entries, ...(isRejecting ? [fromHostAfterNat] : [])].filter(enter).map(({ chain }) => chain),
  )
  const jump = (chain: string, ...when: string[]): Rule[] => (present.has(chain) ? [[...when, `jump ${chain}`]] : [])
  const base = (hook: string, rules: readonly Rule[]): Chain => ({
    hook: `type filter hook ${hook}; policy accept;`,
    rules,
  })

  if (present.has('untracked-out'))
    chains.set(
      'output-before-tracking',
      base('output priority raw', [clearEveryMarkIfAny, ['jump untracked-out'], [...settle, 'notrack']]),
    )
  if (present.has('pre-dnat'))
    chains.set('before-dnat', base('prerouting priority mangle', [[isUnsettled, 'jump pre-dnat'], [...settle]]))
  chains.set(
    'output',
    base('output priority filter', [
      ['ct status dnat', 'accept'],
      ...jump('from-host', ...(present.has('untracked-out') ? [isUnsettled] : [])),
      clearEveryMarkIfAny,
    ]),
  )
  // The output hook shows the interface of the destination before DNAT; this one shows where the packet really goes.
  chains.set(
    'output-after-nat',
    base('postrouting priority mangle', [
      ['ct status dnat', 'fib saddr type local', `jump ${afterNat.chain}`],
      clearEveryMarkIfAny,
    ]),
  )

  const isAsked = model.endpointToHostAction(node) === 'return'
  if (isAsked) for (const family of [4, 6] as const) maps.set(`own-addresses-${family}`, byAddress(family))

  /** By the address that a workload sends to, the endpoint that answers for it. */
  function byAddress(family: 4 | 6): NamedSet {
    const owners = [...hosts.owners].filter(([ip, endpoint]) => endpoint !== hosts.rest && familyOf(ip) === family)
    return dispatchMap(
      family === 4 ? 'ipv4_addr' : 'ipv6_addr',
      new Map(owners.map(([ip, endpoint]) => [ip, `goto ${classChain(endpoint, 'ingress', 'normal')}`])),
    )
  }

  return {
    chains,
    sets: new Map([['host-neighbours', neighbours], ...maps]),
    beforeTracking: [
      // A mark that comes with the packet says nothing of ours.
      clearEveryMarkIfAny,
      ...jump('untracked-in'),
      ...(present.has('untracked-in') ? [[...settle, 'notrack']] : []),
    ],
    input: [[`iifname != "${workloadInterfaces}"`, isUnsettled, 'jump to-host'], clearEveryMarkIfAny],
    forwardIn: jump('forward-in', isUnsettled),
    forwardOut: jump('forward-out'),
    fromWorkload: isAsked
      ? [
          [`meta mark & ${settled} != 0`, 'return'],
          ['ip daddr vmap @own-addresses-4'],
          ['ip6 daddr vmap @own-addresses-6'],
          ...(hosts.rest === null ? [] : [[`goto ${classChain(hosts.rest, 'ingress', 'normal')}`]]),
        ]
      : [],
  }
}
