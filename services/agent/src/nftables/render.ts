import {
  type Direction,
  type Endpoint,
  type GoverningTier,
  noMatch,
  type Policy,
  type PolicyRef,
  type Rule as PolicyRule,
  profileTier,
} from '@margay/schemas'
import type { NodePolicy } from '../dataplane/dataplane.ts'
import { baseChains, baseSets, nflogGroups, workloadInterfaces } from './base-chains.ts'
import { failsafeChain, hostChains } from './host-chains.ts'
import { accept, clearMarks, pass } from './marks.ts'
import { matchLines } from './match.ts'
import { logPrefix, type RuleHit, shortHash } from './names.ts'
import { type Chain, dispatchMap, type Rule, type Ruleset } from './ruleset.ts'
import { createSetCollector } from './sets.ts'

/** Log prefix of packets to a service before DNAT, by which denied connections learn what was addressed. */
export const servicePrefix = 'margay-service'

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

/** A workload endpoint of this node with the interface that leads to it. */
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
export function render({ node, model, endpoints, hosts, options }: NodePolicy): Rendering {
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

  function ruleLines(ref: PolicyRef, rule: PolicyRule, direction: Direction): Rule[] {
    const matches = matchLines(rule, model, sets)
    const hit: RuleHit = { direction, action: rule.action, ref, ruleIndex: rule.index }
    switch (rule.action) {
      case 'deny':
        return matches.map((match) => [...match, log(hit), 'drop'])
      case 'log':
        return matches.map((match) => [...match, firstPacket, log(hit)])
      default: {
        if (matches.length === 0) return []
        // A pass inside a profile leads nowhere: the next profile is asked.
        if (rule.action === 'pass' && ref.kind === 'profile') return matches.map((match) => [...match, 'return'])
        const bit = rule.action === 'allow' ? accept : pass
        return [
          ...matches.map((match) => [...match, `meta mark set meta mark | ${bit}`]),
          [`meta mark & ${bit} != 0`, firstPacket, log(hit)],
          [`meta mark & ${bit} != 0`, 'return'],
        ]
      }
    }
  }

  function policyChain(ref: PolicyRef, id: string, rules: readonly PolicyRule[], direction: Direction): string {
    const name = `${ref.kind === 'profile' ? 'pr' : 'po'}-${direction === 'ingress' ? 'in' : 'out'}-${shortHash(id)}`
    if (!chains.has(name)) {
      chains.set(name, { hook: null, rules: rules.flatMap((rule) => ruleLines(ref, rule, direction)) })
      domainRules += rules.filter((r) => r.source.domains.length + r.destination.domains.length > 0).length
    }
    return name
  }

  /** The enforced policies of a tier, at least one, and what becomes of packets that none of them decided. */
  function tierLines({ tier, policies }: GoverningTier, direction: Direction): Rule[] {
    const last = policies.at(-1) as Policy
    const lines: Rule[] = []
    for (const policy of policies) {
      selecting.add(policy.id)
      const chain = policyChain(policy.ref, policy.id, policy[direction], direction)
      lines.push([`meta mark & ${pass} == 0`, `jump ${chain}`], [`meta mark & ${accept} != 0`, 'return'])
    }
    const hit: RuleHit = { direction, action: tier.defaultAction, ref: last.ref, ruleIndex: -1 }
    const unmatched = `meta mark & ${pass} == 0`
    lines.push(tier.defaultAction === 'deny' ? [unmatched, log(hit), 'drop'] : [unmatched, firstPacket, log(hit)])
    return lines
  }

  /** The chain of all endpoints of one kind that share tiers, policies and profiles in one direction. */
  function classChain(endpoint: Endpoint, direction: Direction): string {
    const tiers = model
      .governing(endpoint, direction)
      .map(({ tier, policies }) => ({ tier, policies: policies.filter((policy) => !policy.staged) }))
      .filter(({ policies }) => policies.length > 0)
    const identity = JSON.stringify([
      tiers.map(({ tier, policies }) => [tier.name, tier.defaultAction, policies.map((policy) => policy.id)]),
      endpoint.profiles,
      ...(endpoint.kind === 'hep' ? ['host'] : []),
    ])
    const name = `${direction === 'ingress' ? 'to' : 'from'}-${shortHash(identity)}`
    if (chains.has(name)) return name
    const lines: Rule[] = [
      ['ct state established,related', 'accept'],
      ['ct state invalid', 'drop'],
    ]
    if (endpoint.kind === 'hep') lines.push([`jump ${failsafeChain(direction)}`])
    else if (direction === 'egress') {
      if (!options.allowVxlan) lines.push(['meta l4proto 17', 'th dport 4789', 'drop'])
      if (!options.allowIpip) lines.push(['meta l4proto 4', 'drop'])
    }
    lines.push([clearMarks], ...tiers.flatMap((tier) => [...tierLines(tier, direction), [clearMarks]]))
    for (const profileName of endpoint.profiles) {
      const profile = model.profile(profileName)
      if (profile === null) continue
      const chain = policyChain(profileRef(profileName), `profile:${profileName}`, profile[direction], direction)
      lines.push([`jump ${chain}`], [`meta mark & ${accept} != 0`, 'return'])
    }
    lines.push([log({ direction, action: 'deny', ref: profileRef(noMatch), ruleIndex: -1 }), 'drop'])
    chains.set(name, { hook: null, rules: lines })
    return name
  }

  for (const { endpoint, interfaceName } of endpoints) {
    maps.ingress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'ingress')}`)
    maps.egress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'egress')}`)
  }
  const host = hostChains({ node, model, hosts }, { classChain, sets })
  for (const [name, chain] of baseChains(model.endpointToHostAction(node), host)) chains.set(name, chain)
  chains.set('before-nat', {
    hook: 'type filter hook prerouting priority mangle; policy accept;',
    rules: ([4, 6] as const).flatMap((family) => {
      const name = sets.addressList('services', options.serviceIps, family)
      if (name === null) return []
      const match = [`iifname "${workloadInterfaces}"`, 'ct state new', `${family === 4 ? 'ip' : 'ip6'} daddr ${name}`]
      // To both groups: each keeps its own order, and the verdicts must come after it.
      return [nflogGroups.egress, nflogGroups.ingress].map((group) => [
        ...match,
        `log prefix "${servicePrefix}" group ${group} snaplen 80`,
      ])
    }),
  })
  return {
    ruleset: {
      chains,
      sets: new Map([
        ...sets.sets,
        ...baseSets,
        ['to-workloads', dispatchMap('ifname', maps.ingress)],
        ['from-workloads', dispatchMap('ifname', maps.egress)],
        ...host.sets,
      ]),
    },
    hits,
    policies: selecting.size,
    domainRules,
  }
}

/** How the rules of a profile are cited. */
const profileRef = (name: string): PolicyRef => ({ kind: 'profile', tier: profileTier, namespace: null, name })
