import {
  type Direction,
  type Endpoint,
  type GoverningTier,
  noMatch,
  type Policy,
  type PolicyModel,
  type PolicyRef,
  profileTier,
  type Rule,
} from '@margay/schemas'
import { matchLines } from './match.ts'
import { logPrefix, type RuleHit, shortHash } from './names.ts'
import type { Chain, NamedSet, Ruleset } from './ruleset.ts'
import { createSetCollector } from './sets.ts'

/** NFLOG groups: ingress verdicts, egress verdicts, DNS packets. */
export const nflogGroups = { ingress: 1, egress: 2, dns: 3 } as const

/** Log prefix of packets to a service before DNAT, by which denied connections learn what was addressed. */
export const servicePrefix = 'margay-service'

/** Host-side interfaces of pods begin with this; one that no endpoint owns is dropped. */
const workloadInterfaces = 'cali*'

const accept = 0x10000
const pass = 0x20000
const keepOthers = '0xfffcffff'
const clearMarks = `meta mark set meta mark & ${keepOthers}`

/** What changes the rules of a node beside policy. */
export interface RenderOptions {
  readonly allowVxlan: boolean
  readonly allowIpip: boolean
  /** Addresses of services; connections to them are told with the service although DNAT hides it. */
  readonly serviceIps: ReadonlySet<string>
}

/** What holds without FelixConfiguration. */
export const defaultRenderOptions: RenderOptions = {
  allowVxlan: false,
  allowIpip: false,
  serviceIps: new Set(),
}

/** An endpoint of this node with the interface that leads to it. */
export interface LocalEndpoint {
  readonly endpoint: Endpoint
  readonly interfaceName: string
}

/** The rules of a node as chains and sets. */
export interface Rendering {
  readonly ruleset: Ruleset
  /** What each log prefix in the rules stands for. */
  readonly hits: ReadonlyMap<string, RuleHit>
  /** Policies that select a local endpoint. */
  readonly policies: number
  /** Rules that match nothing because they name domains. */
  readonly domainRules: number
}

/**
 * The rules that enforce policy on the endpoints of one node. Pure: the same model gives the same text.
 *
 * Packets are dispatched by interface to a chain that is shared by all endpoints with the same ordered list of policies;
 * it calls one chain for each policy and direction, which sets a mark bit for allow or pass and returns, or drops.
 */
export function render(model: PolicyModel, locals: readonly LocalEndpoint[], options: RenderOptions): Rendering {
  const chains = new Map<string, Chain>()
  const sets = createSetCollector()
  const hits = new Map<string, RuleHit>()
  const maps = { ingress: new Map<string, string>(), egress: new Map<string, string>() }
  const selecting = new Set<string>()
  let domainRules = 0

  /** A log statement for a hit; verdicts other than deny are told for the first packet of a connection only. */
  function log(hit: RuleHit): string {
    const prefix = logPrefix(hit)
    hits.set(prefix, hit)
    return `log prefix "${prefix}" group ${nflogGroups[hit.direction]} snaplen 80`
  }
  const firstPacket = 'ct original packets 1'

  function ruleLines(ref: PolicyRef, rule: Rule, direction: Direction): string[] {
    const matches = matchLines(rule, model, sets)
    const hit: RuleHit = { direction, action: rule.action, ref, ruleIndex: rule.index }
    switch (rule.action) {
      case 'deny':
        return matches.map((match) => statement(match, log(hit), 'drop'))
      case 'log':
        return matches.map((match) => statement(match, firstPacket, log(hit)))
      default: {
        if (matches.length === 0) return []
        // A pass inside a profile leads nowhere: the next profile is asked.
        if (rule.action === 'pass' && ref.kind === 'profile') return matches.map((match) => statement(match, 'return'))
        const bit = rule.action === 'allow' ? accept : pass
        return [
          ...matches.map((match) => statement(match, `meta mark set meta mark | ${bit}`)),
          statement(`meta mark & ${bit} != 0`, firstPacket, log(hit)),
          statement(`meta mark & ${bit} != 0`, 'return'),
        ]
      }
    }
  }

  function policyChain(ref: PolicyRef, id: string, rules: readonly Rule[], direction: Direction): string {
    const name = `${ref.kind === 'profile' ? 'pr' : 'po'}-${direction === 'ingress' ? 'in' : 'out'}-${shortHash(id)}`
    if (!chains.has(name)) {
      chains.set(name, { hook: null, rules: rules.flatMap((rule) => ruleLines(ref, rule, direction)) })
      domainRules += rules.filter((r) => r.source.domains.length + r.destination.domains.length > 0).length
    }
    return name
  }

  /** The enforced policies of a tier, at least one, and what becomes of packets that none of them decided. */
  function tierLines({ tier, policies }: GoverningTier, direction: Direction): string[] {
    const last = policies.at(-1) as Policy
    const lines: string[] = []
    for (const policy of policies) {
      selecting.add(policy.id)
      const chain = policyChain(policy.ref, policy.id, policy[direction], direction)
      lines.push(`meta mark & ${pass} == 0 jump ${chain}`, `meta mark & ${accept} != 0 return`)
    }
    const hit: RuleHit = { direction, action: tier.defaultAction, ref: last.ref, ruleIndex: -1 }
    const unmatched = `meta mark & ${pass} == 0`
    lines.push(
      tier.defaultAction === 'deny'
        ? statement(unmatched, log(hit), 'drop')
        : statement(unmatched, firstPacket, log(hit)),
    )
    return lines
  }

  /** The chain of all endpoints that share tiers, policies and profiles in one direction. */
  function classChain(endpoint: Endpoint, direction: Direction): string {
    const tiers = model
      .governing(endpoint, direction)
      .map(({ tier, policies }) => ({ tier, policies: policies.filter((policy) => !policy.staged) }))
      .filter(({ policies }) => policies.length > 0)
    const identity = JSON.stringify([
      tiers.map(({ tier, policies }) => [tier.name, tier.defaultAction, policies.map((policy) => policy.id)]),
      endpoint.profiles,
    ])
    const name = `${direction === 'ingress' ? 'to' : 'from'}-${shortHash(identity)}`
    if (chains.has(name)) return name
    const lines = ['ct state established,related accept', 'ct state invalid drop']
    if (direction === 'egress' && !options.allowVxlan) lines.push('udp dport 4789 drop')
    if (direction === 'egress' && !options.allowIpip) lines.push('meta l4proto 4 drop')
    lines.push(clearMarks, ...tiers.flatMap((tier) => [...tierLines(tier, direction), clearMarks]))
    for (const profileName of endpoint.profiles) {
      const profile = model.profile(profileName)
      if (profile === null) continue
      const chain = policyChain(profileRef(profileName), `profile:${profileName}`, profile[direction], direction)
      lines.push(`jump ${chain}`, `meta mark & ${accept} != 0 return`)
    }
    lines.push(statement(log({ direction, action: 'deny', ref: profileRef(noMatch), ruleIndex: -1 }), 'drop'))
    chains.set(name, { hook: null, rules: lines })
    return name
  }

  for (const { endpoint, interfaceName } of locals) {
    maps.ingress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'ingress')}`)
    maps.egress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'egress')}`)
  }
  addDispatch(chains, model.endpointToHostAction)
  chains.set('before-nat', {
    hook: 'type filter hook prerouting priority mangle; policy accept;',
    rules: ([4, 6] as const).flatMap((family) => {
      const name = sets.addressList('services', options.serviceIps, family)
      if (name === null) return []
      const match = `iifname "${workloadInterfaces}" ct state new ${family === 4 ? 'ip' : 'ip6'} daddr ${name}`
      // To both groups: each keeps its own order, and the verdicts must come after it.
      return [nflogGroups.egress, nflogGroups.ingress].map(
        (group) => `${match} log prefix "${servicePrefix}" group ${group} snaplen 80`,
      )
    }),
  })
  const dispatch = (elements: ReadonlyMap<string, string>): NamedSet => ({
    kind: 'map',
    spec: 'type ifname : verdict;',
    interval: false,
    elements,
  })
  return {
    ruleset: {
      chains,
      sets: new Map([
        ...sets.sets,
        ['to-workloads', dispatch(maps.ingress)],
        ['from-workloads', dispatch(maps.egress)],
      ]),
    },
    hits,
    policies: selecting.size,
    domainRules,
  }
}

/** How the rules of a profile are cited. */
const profileRef = (name: string): PolicyRef => ({ kind: 'profile', tier: profileTier, namespace: null, name })

const statement = (...parts: string[]) => parts.filter(Boolean).join(' ')

/** Router and neighbour discovery, and multicast listening, without which IPv6 does not work (RFC 4890, 4.4.1). */
const neighbourDiscovery = 'icmpv6 type { 130, 131, 132, 133, 135, 136 } accept'

/** The base chains, which hand packets of workload interfaces to the chains of their endpoints. */
function addDispatch(chains: Map<string, Chain>, toHost: PolicyModel['endpointToHostAction']): void {
  const from = `iifname "${workloadInterfaces}"`
  const to = `oifname "${workloadInterfaces}"`
  chains.set('anti-spoofing', {
    hook: 'type filter hook prerouting priority raw; policy accept;',
    rules: [`${from} ${neighbourDiscovery}`, `${from} fib saddr . iif oif missing counter drop`],
  })
  chains.set('forward', {
    hook: 'type filter hook forward priority filter; policy accept;',
    rules: [
      `${from} udp dport 53 log prefix "margay-dns-query" group ${nflogGroups.dns}`,
      `${to} udp sport 53 ct direction reply log prefix "margay-dns-response" group ${nflogGroups.dns}`,
      `${from} jump from-workload`,
      `${to} jump to-workload`,
      `meta mark & ${accept | pass} != 0 ${clearMarks}`,
    ],
  })
  chains.set('input', {
    hook: 'type filter hook input priority filter; policy accept;',
    rules: [`${from} jump workload-to-host`],
  })
  chains.set('from-workload', {
    hook: null,
    rules: [neighbourDiscovery, 'iifname vmap @from-workloads', 'counter drop'],
  })
  chains.set('to-workload', { hook: null, rules: [neighbourDiscovery, 'oifname vmap @to-workloads', 'counter drop'] })
  chains.set('workload-to-host', {
    hook: null,
    rules: [neighbourDiscovery, 'jump from-workload', clearMarks, ...(toHost === 'return' ? [] : [toHost])],
  })
}
