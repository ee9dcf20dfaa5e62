import type { FlatRule } from '../../policy/flat-policy.ts'
import type { Direction } from '../../policy/model.ts'
import { areDisjoint, covers } from '../containment.ts'
import { directions, governs, type LintContext, type LintPolicy } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { implies } from '../implication.ts'
import type { Thing } from '../inventory.ts'

/** Rules that no packet reaches, since an earlier rule takes every packet that they match. */
export const shadowedRule: LintRule = {
  id: 'shadowed-rule',
  severity: 'warning',
  title: 'a rule that is never reached',
  why: 'An earlier rule already decides about every connection that this rule matches: in the same policy, or in a policy or tier that comes before, for all the endpoints.',
  remedy: 'Delete the rule, move it (or its policy) before the one that hides it, or narrow that one.',
  check(context, report) {
    const walk = walkOf(context)
    for (const direction of directions) {
      for (const policy of walk) {
        if (!governs(policy, direction)) continue
        for (const index of new Set(policy.flat.rules[direction].map((rule) => rule.index))) {
          // A rule of Kubernetes is many of ours: it is hidden when all of them are.
          const parts = policy.flat.rules[direction].filter((rule) => rule.index === index)
          const hidden = parts.map((rule) => hiderOf(rule, policy, { context, walk, direction }))
          const first = hidden.find((found) => found !== null)
          if (first == null || hidden.includes(null)) continue
          const rule = parts[0] as FlatRule
          const where =
            first.policy === policy
              ? `rule ${first.rule.index}`
              : `rule ${first.rule.index} of ${first.policy.title} (tier ${first.policy.flat.ref.tier}), which comes first`
          const domains = parts.flatMap(({ destination }) => destination.domains)
          const what = domains.length === 0 ? '' : ` (to ${domains.join(', ')})`
          report(
            policy.subject,
            ['spec', direction, index],
            `${direction} rule ${index} of ${policy.title}${what} is never reached: ${where} ${actionOf(first.rule)} all that it matches`,
            rule.action === first.rule.action ? { severity: 'info' } : {},
          )
        }
      }
    }
  },
}

const actionOf = ({ action }: FlatRule) => (action === 'pass' ? 'passes' : action === 'deny' ? 'denies' : 'allows')

interface Hider {
  readonly policy: LintPolicy
  readonly rule: FlatRule
}

interface Surroundings {
  readonly context: LintContext
  readonly walk: readonly LintPolicy[]
  readonly direction: Direction
}

/** Enforced policies of all tiers in the order in which they are asked. */
const walkOf = ({ tiers }: LintContext): LintPolicy[] =>
  tiers.flatMap(({ policies }) => policies.filter(({ flat }) => !flat.staged))

/** The rule that hides another from all the endpoints that its policy selects (one of them, when it takes several); null when none does. */
function hiderOf(rule: FlatRule, policy: LintPolicy, around: Surroundings): Hider | null {
  const own = policy.flat.rules[around.direction]
  const inside = own.slice(0, own.indexOf(rule)).find((earlier) => isFinal(earlier) && covers(earlier, rule))
  if (inside !== undefined && inside.index !== rule.index) return { policy, rule: inside }
  const earlier = around.walk
    .slice(0, around.walk.indexOf(policy))
    .filter((other) => governs(other, around.direction) && isSameStage(other, policy))
  if (policy.endpoints.length === 0) {
    const always = earlier.filter((other) => implies(policy.flat.selector.expression, other.flat.selector.expression))
    return hiderAmong(always, rule, policy, around.direction)
  }
  let found: Hider | null = null
  for (const group of groupsOf(policy.endpoints, earlier)) {
    found = hiderAmong(group, rule, policy, around.direction)
    if (found === null) return null
  }
  return found
}

/** The earlier policies that select each endpoint; endpoints with the same ones count once. */
function groupsOf(endpoints: readonly Thing[], earlier: readonly LintPolicy[]): LintPolicy[][] {
  const groups = new Map<string, LintPolicy[]>()
  for (const endpoint of endpoints) {
    const selecting = earlier.filter((other) => other.selects(endpoint))
    groups.set(selecting.map((other) => earlier.indexOf(other)).join(), selecting)
  }
  return [...groups.values()]
}

function hiderAmong(
  earlier: readonly LintPolicy[],
  rule: FlatRule,
  policy: LintPolicy,
  direction: Direction,
): Hider | null {
  let tier: string | null = null
  /** Passes of an earlier tier that may let a packet of the rule escape from what comes after them in that tier. */
  let escapes = false
  for (const other of earlier) {
    if (other.flat.ref.tier !== tier) escapes = false
    tier = other.flat.ref.tier
    const sameTier = tier === policy.flat.ref.tier
    for (const candidate of other.flat.rules[direction]) {
      if (!isFinal(candidate)) continue
      if (candidate.action === 'pass' && !sameTier) {
        if (!areDisjoint(candidate, rule)) escapes = true
      } else if (!escapes && covers(candidate, rule)) return { policy: other, rule: candidate }
    }
  }
  return null
}

const isFinal = ({ action }: FlatRule) => action !== 'log'

/** Policies act on host endpoints at stages of their own; one that also acts on forwarded traffic is hidden only by one that does so too. */
function isSameStage({ flat: earlier }: LintPolicy, { flat: later }: LintPolicy): boolean {
  return (
    earlier.doNotTrack === later.doNotTrack &&
    earlier.preDnat === later.preDnat &&
    (earlier.applyOnForward || !later.applyOnForward)
  )
}
