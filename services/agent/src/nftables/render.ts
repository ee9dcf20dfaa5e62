import {
  type Direction,
  type Endpoint,
  type GoverningTier,
  noMatch,
  type Policy,
  type PolicyRef,
  type Rule as PolicyRule,
  profileTier,
  type Stage,
} from '@margay/schemas'
import type { NodePolicy } from '../dataplane/dataplane.ts'
import { baseChains, baseSets, nflogGroups, workloadInterfaces } from './base-chains.ts'
import type { ClassChains } from './class-chains.ts'
import { type DenialOptions, defaultDenial, denyRules, type HookKind, hookOf, logRules } from './denial.ts'
import { failsafeChain } from './failsafe-chains.ts'
import { hostChains } from './host-chains.ts'
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
  /** UDP port of VXLAN. */
  readonly vxlanPort: number
  /** Packets that belong to no connection are dropped. */
  readonly checksState: boolean
  readonly denial: DenialOptions
  /** Addresses of services; connections to them are told with the service although DNAT hides it. */
  readonly serviceIps: ReadonlySet<string>
}

/** What holds without FelixConfiguration. */
export const defaultRenderOptions: RenderOptions = {
  allowVxlan: false,
  allowIpip: false,
  vxlanPort: 4789,
  checksState: true,
  denial: defaultDenial,
  serviceIps: new Set(),
}

/** A workload endpoint of this node with the interface that leads to it. */
export interface LocalEndpoint {
  readonly endpoint: Endpoint
  readonly interfaceName: string
}

/** Where a rule is met. */
interface Place {
  readonly direction: Direction
  readonly stage: Stage
  readonly hook: HookKind
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

  /** Without connections nobody can tell the first packet from others, so nothing is told. */
  const isTold = (stage: Stage) => stage !== 'untracked'

  function ruleLines(ref: PolicyRef, rule: PolicyRule, at: Place): Rule[] {
    const { direction, stage, hook } = at
    const matches = matchLines(rule, model, sets)
    const hit: RuleHit = { direction, stage, action: rule.action, ref, ruleIndex: rule.index }
    switch (rule.action) {
      case 'deny':
        return matches.flatMap((match) => denyRules(match, isTold(stage) ? log(hit) : null, options.denial, hook))
      case 'log':
        return matches.flatMap((match) =>
          isTold(stage)
            ? logRules([...match, firstPacket], log(hit), options.denial)
            : logRules(match, null, options.denial),
        )
      default: {
        if (matches.length === 0) return []
        // A pass inside a profile leads nowhere: the next profile is asked.
        if (rule.action === 'pass' && ref.kind === 'profile') return matches.map((match) => [...match, 'return'])
        const bit = rule.action === 'allow' ? accept : pass
        return [
          ...matches.map((match) => [...match, `meta mark set meta mark | ${bit}`]),
          ...(isTold(stage) ? [[`meta mark & ${bit} != 0`, firstPacket, log(hit)]] : []),
          [`meta mark & ${bit} != 0`, 'return'],
        ]
      }
    }
  }

  function policyChain(ref: PolicyRef, id: string, rules: readonly PolicyRule[], at: Place): string {
    const { direction, stage, hook } = at
    const kind = ref.kind === 'profile' ? 'pr' : 'po'
    const suffix = `${stage === 'normal' ? '' : `-${stage}`}${hook === hookOf(stage) ? '' : `-${hook}`}`
    const name = `${kind}-${direction === 'ingress' ? 'in' : 'out'}-${shortHash(id)}${suffix}`
    if (!chains.has(name)) {
      chains.set(name, { hook: null, rules: rules.flatMap((rule) => ruleLines(ref, rule, at)) })
      domainRules += rules.filter((r) => r.source.domains.length + r.destination.domains.length > 0).length
    }
    return name
  }

  /** The enforced policies of a tier, at least one, and what becomes of packets that none of them decided. */
  function tierLines({ tier, policies }: GoverningTier, at: Place): Rule[] {
    const { direction, stage, hook } = at
    const last = policies.at(-1) as Policy
    const lines: Rule[] = []
    for (const policy of policies) {
      selecting.add(policy.id)
      const chain = policyChain(policy.ref, policy.id, policy[direction], at)
      lines.push([`meta mark & ${pass} == 0`, `jump ${chain}`], [`meta mark & ${accept} != 0`, 'return'])
    }
    if (hookOf(stage) !== 'filter') return lines
    const hit: RuleHit = { direction, stage, action: tier.defaultAction, ref: last.ref, ruleIndex: -1 }
    const unmatched = [`meta mark & ${pass} == 0`]
    lines.push(
      ...(tier.defaultAction === 'deny'
        ? denyRules(unmatched, log(hit), options.denial, hook)
        : [[...unmatched, firstPacket, log(hit)]]),
    )
    return lines
  }

  /** The chain of all endpoints of one kind that share tiers, policies and profiles in one direction and stage. */
  const classChain: ClassChains = (endpoint, direction, stage, hook = hookOf(stage)) => {
    const at = { direction, stage, hook }
    const tiers = model
      .governing(endpoint, direction, stage)
      .map(({ tier, policies }) => ({ tier, policies: policies.filter((policy) => !policy.staged) }))
      .filter(({ policies }) => policies.length > 0)
    const profiles = stage === 'normal' ? endpoint.profiles : []
    const identity = JSON.stringify([
      tiers.map(({ tier, policies }) => [tier.name, tier.defaultAction, policies.map((policy) => policy.id)]),
      profiles,
      ...(endpoint.kind === 'hep' ? ['host'] : []),
      ...(stage === 'normal' ? [] : [stage]),
      ...(hook === hookOf(stage) ? [] : [hook]),
    ])
    const name = `${direction === 'ingress' ? 'to' : 'from'}-${shortHash(identity)}`
    if (chains.has(name)) return name
    const lines: Rule[] = []
    if (stage !== 'untracked') lines.push(['ct state established,related', 'accept'])
    if (hookOf(stage) === 'filter' && options.checksState) lines.push(['ct state invalid', 'drop'])
    if (endpoint.kind === 'hep') {
      if (stage !== 'forward') lines.push([`jump ${failsafeChain(direction, stage)}`])
    } else if (direction === 'egress') {
      if (!options.allowVxlan) lines.push(['meta l4proto 17', `th dport ${options.vxlanPort}`, 'drop'])
      if (!options.allowIpip) lines.push(['meta l4proto 4', 'drop'])
    }
    lines.push([clearMarks], ...tiers.flatMap((tier) => [...tierLines(tier, at), [clearMarks]]))
    for (const profileName of profiles) {
      const profile = model.profile(profileName)
      if (profile === null) continue
      const chain = policyChain(profileRef(profileName), `profile:${profileName}`, profile[direction], at)
      lines.push([`jump ${chain}`], [`meta mark & ${accept} != 0`, 'return'])
    }
    if (hookOf(stage) === 'filter')
      lines.push(
        ...denyRules(
          [],
          log({ direction, stage, action: 'deny', ref: profileRef(noMatch), ruleIndex: -1 }),
          options.denial,
          hook,
        ),
      )
    chains.set(name, { hook: null, rules: lines })
    return name
  }

  for (const { endpoint, interfaceName } of endpoints) {
    maps.ingress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'ingress', 'normal')}`)
    maps.egress.set(`"${interfaceName}"`, `goto ${classChain(endpoint, 'egress', 'normal')}`)
  }
  const host = hostChains({ node, model, hosts, isRejecting: options.denial.action === 'reject' }, { classChain, sets })
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
