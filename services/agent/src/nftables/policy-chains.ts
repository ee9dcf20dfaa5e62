import type { Direction, PolicyRef, Rule as PolicyRule, Stage } from '@margay/schemas'
import { nflogGroups } from './base-chains.ts'
import { type DenialOptions, denyRules, type HookKind, hookOf, logRules } from './denial.ts'
import { accept, pass } from './marks.ts'
import { isFamilyBound, matchLines } from './match.ts'
import { logPrefix, type RuleHit, shortHash } from './names.ts'
import { guardedPorts } from './policy-guard.ts'
import type { Chain, Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/** Where rules are met: direction, stage, and the hooks in which they are asked. */
export interface Place {
  readonly direction: Direction
  readonly stage: Stage
  readonly hook: HookKind
}

/** The rules of one policy, or profile, at one place. */
export interface PolicyRules extends Place {
  readonly ref: PolicyRef
  readonly id: string
  readonly rules: readonly PolicyRule[]
}

/** How they are called, and what they may answer. */
export interface PolicyEntry {
  /** What a packet must be for the policy to have a say, and the jump to it. */
  readonly call: Rule
  readonly allows: boolean
  readonly passes: boolean
}

/** Chains of a policy by name, and the hits that its log prefixes stand for. */
export interface PolicyChains {
  readonly chains: ReadonlyMap<string, Chain>
  readonly hits: ReadonlyMap<string, RuleHit>
  /** Null when nothing in it can match. */
  readonly entry: PolicyEntry | null
}

/** Tells the collector of a hit; `hits` learns what its prefix stands for. */
export function logStatement(hit: RuleHit, hits: Map<string, RuleHit>): string {
  const prefix = logPrefix(hit)
  hits.set(prefix, hit)
  return `log prefix "${prefix}" group ${nflogGroups[hit.direction]} snaplen 80`
}

/** Holds for the packet that opens a connection (it needs `nf_conntrack_acct`). */
export const firstPacket = 'ct original packets 1'
/** Rules for addresses of both families beyond which those of IPv6 get a chain of their own. */
const fewRules = 4
const tcp = 6

/**
 * The chains of a policy: one kernel rule for each rule of the policy, two where it may match packets that go on for long without an answer,
 * which must be told of once only. A TCP connection is not one of them: its first packet is sent again a few times at most. Where
 * there are many, rules for IPv6 addresses stand in a chain of their own (`-6`). Allow and Pass set their bit of the packet's mark and
 * return; Deny does not return.
 */
export function policyChains(
  { ref, id, rules, direction, stage, hook }: PolicyRules,
  deps: { readonly sets: SetCollector; readonly denial: DenialOptions },
): PolicyChains {
  const { sets, denial } = deps
  const chains = new Map<string, Chain>()
  const hits = new Map<string, RuleHit>()

  function render(rule: PolicyRule, matches: readonly Rule[]): readonly Rule[] {
    const hit: RuleHit = { direction, stage, action: rule.action, ref, ruleIndex: rule.index }
    // Without tracking there is no telling which packet is the first.
    const log = stage === 'untracked' ? null : logStatement(hit, hits)
    if (rule.action === 'deny') return matches.flatMap((match) => denyRules(match, log, denial, hook))
    if (rule.action === 'log')
      return matches.flatMap((match) => logRules(log === null ? match : [...match, firstPacket], log, denial))
    // A Pass inside a profile leads nowhere: the next profile is asked.
    if (rule.action === 'pass' && ref.kind === 'profile') return matches.map((match) => [...match, 'return'])
    const end = [`meta mark set meta mark | ${rule.action === 'allow' ? accept : pass}`, 'return']
    return matches.flatMap((match): Rule[] => {
      if (log === null) return [[...match, ...end]]
      if (rule.protocol === tcp) return [[...match, log, ...end]]
      return [
        [...match, firstPacket, log, ...end],
        [...match, ...end],
      ]
    })
  }

  const fill = (name: string, rendered: readonly (readonly Rule[])[]) =>
    chains.set(name, { hook: null, rules: rendered.flat() })

  const suffix = `${stage === 'normal' ? '' : `-${stage}`}${hook === hookOf(stage) ? '' : `-${hook}`}`
  const name = `${ref.kind === 'profile' ? 'pr' : 'po'}-${direction === 'ingress' ? 'in' : 'out'}-${shortHash(id)}${suffix}`
  const lines = rules.map((rule) => {
    const isBound = isFamilyBound(rule)
    const four = matchLines(rule, 4, sets)
    return { rule, isBound, four, six: isBound ? matchLines(rule, 6, sets) : four }
  })
  const effective = lines.filter(({ four, six }) => four.length + six.length > 0)
  const count = (family: 'four' | 'six') =>
    effective.reduce((sum, line) => sum + (line.isBound ? line[family].length : 0), 0)
  const isSplit = Math.min(count('four'), count('six')) > 0 && count('four') + count('six') > fewRules
  if (effective.length === 0) return { chains, hits, entry: null }
  if (isSplit) {
    fill(
      `${name}-6`,
      effective.map(({ rule, six }) => render(rule, six)),
    )
    fill(
      name,
      effective.map(({ rule, four }) => render(rule, four)),
    )
    const main = chains.get(name) as Chain
    chains.set(name, { hook: null, rules: [['meta nfproto ipv6', `goto ${name}-6`], ...main.rules] })
  } else
    fill(
      name,
      effective.map(({ rule, isBound, four, six }) => render(rule, isBound ? [...four, ...six] : four)),
    )
  const ports = guardedPorts(effective.map(({ rule }) => rule))
  const guard = ports === null ? [] : [`th dport ${sets.ports(ports)}`]
  const has = (action: PolicyRule['action']) => effective.some(({ rule }) => rule.action === action)
  return {
    chains,
    hits,
    entry: {
      call: [...guard, `jump ${name}`],
      allows: has('allow') || (denial.passes && has('deny')),
      passes: has('pass') && ref.kind !== 'profile',
    },
  }
}
