import {
  type Endpoint,
  type GoverningTier,
  noMatch,
  type Policy,
  type PolicyRef,
  profileTier,
  type Stage,
} from '@margay/schemas'
import { denyRules, hookOf } from './denial.ts'
import { failsafeChain } from './failsafe-chains.ts'
import { accept, classMark, clearMarks, hexadecimal, pass } from './marks.ts'
import type { RuleHit } from './names.ts'
import { firstPacket, logStatement, type Place, type PolicyEntry } from './policy-chains.ts'
import type { RenderOptions } from './render.ts'
import type { Chain, Rule } from './ruleset.ts'

/** What endpoints of one class have in common. */
export interface EndpointClass extends Place {
  readonly name: string
  readonly kind: Endpoint['kind']
  /** Enforced policies only, at least one in each. */
  readonly tiers: readonly GoverningTier[]
  readonly profiles: readonly string[]
  /** How packets of a workload get to it: a chain that marks them with its number. Null where a base chain leads to it. */
  readonly gate: { readonly chain: string; readonly number: number } | null
}

/** How a policy or profile is called; null when it has nothing to say. */
export type EntryOf = (policy: Policy | { readonly profile: string }) => PolicyEntry | null

/** How the rules of a profile are cited. */
export const profileRef = (name: string): PolicyRef => ({ kind: 'profile', tier: profileTier, namespace: null, name })

/** The chains of a class: one, and another for what comes after a tier that policies may leave by Pass. */
export function classRules(
  { name, kind, tiers, profiles, gate, ...place }: EndpointClass,
  deps: { readonly entryOf: EntryOf; readonly options: RenderOptions },
): { readonly chains: ReadonlyMap<string, Chain>; readonly hits: ReadonlyMap<string, RuleHit> } {
  const { entryOf, options } = deps
  const { direction, stage, hook } = place
  // The first two stages know no end of a tier.
  const isOpen = hookOf(stage) !== 'filter'
  const chains = new Map<string, Chain>()
  const hits = new Map<string, RuleHit>()
  const before = connectionRules(stage, options)
  let rules: Rule[] = encapsulationRules(kind, place, options)
  if (gate === null) rules = [...before, ...failsafeJump(kind, place), ...rules, [clearMarks]]
  else {
    const mark = `meta mark set meta mark | ${hexadecimal(classMark(gate.number))}`
    chains.set(gate.chain, { hook: null, rules: [...before, [clearMarks], [mark]] })
  }
  let current = name
  const end = () => chains.set(current, { hook: null, rules })

  function ask({ call, allows }: PolicyEntry): void {
    rules.push(call)
    if (allows) rules.push([`meta mark & ${accept} != 0`, 'return'])
  }

  for (const [index, { tier, policies }] of tiers.entries()) {
    const next = `${name}-${index + 1}`
    let isLeft = false
    for (const policy of policies) {
      const entry = entryOf(policy)
      if (entry === null) continue
      ask(entry)
      if (!entry.passes) continue
      rules.push([`meta mark & ${pass} != 0`, `goto ${next}`])
      isLeft = true
    }
    if (!isOpen) {
      const last = policies.at(-1) as Policy
      const hit: RuleHit = { direction, stage, action: tier.defaultAction, ref: last.ref, ruleIndex: -1 }
      const log = logStatement(hit, hits)
      if (tier.defaultAction === 'deny') rules.push(...denyRules([], log, options.denial, hook))
      else rules.push([firstPacket, log])
    }
    const isClosed = !isOpen && tier.defaultAction === 'deny'
    if (isLeft) {
      if (!isClosed) rules.push([`goto ${next}`])
      end()
      current = next
      rules = [[clearMarks]]
    } else if (isClosed) {
      end()
      return { chains, hits }
    }
  }
  if (stage === 'normal') {
    for (const profile of profiles) {
      const entry = entryOf({ profile })
      if (entry !== null) ask(entry)
    }
  }
  // Forwarding too: once a policy for it governs, what nobody allows is denied, also after a Pass.
  if (!isOpen) {
    const hit: RuleHit = { direction, stage, action: 'deny', ref: profileRef(noMatch), ruleIndex: -1 }
    rules.push(...denyRules([], logStatement(hit, hits), options.denial, hook))
  }
  end()
  return { chains, hits }
}

/** Connections that stand need no judgement, and packets of none get none. */
function connectionRules(stage: Stage, { checksState }: RenderOptions): Rule[] {
  return [
    ...(stage === 'untracked' ? [] : [['ct state established,related', 'accept']]),
    ...(hookOf(stage) === 'filter' && checksState ? [['ct state invalid', 'drop']] : []),
  ]
}

const failsafeJump = (kind: Endpoint['kind'], { direction, stage }: Place): Rule[] =>
  kind === 'hep' && stage !== 'forward' ? [[`jump ${failsafeChain(direction, stage)}`]] : []

/** Workloads send no encapsulated packets past the node. */
function encapsulationRules(kind: Endpoint['kind'], { direction }: Place, options: RenderOptions): Rule[] {
  if (kind === 'hep' || direction === 'ingress') return []
  return [
    ...(options.allowVxlan ? [] : [['meta l4proto 17', `th dport ${options.vxlanPort}`, 'drop']]),
    ...(options.allowIpip ? [] : [['meta l4proto 4', 'drop']]),
  ]
}
