import { closest } from '../../resources/spelling.ts'
import { matchesEverything } from '../containment.ts'
import { directions, governs, type LintContext, type LintPolicy, type LintTier } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { implies } from '../implication.ts'
import { listOfThings } from '../inventory.ts'
import { anyProbe, outcomesOf } from '../outcomes.ts'

/** Policies that stand in a tier which nobody created. */
export const tierMissing: LintRule = {
  id: 'tier-missing',
  severity: 'error',
  title: 'a policy in a tier that does not exist',
  why: 'The API refuses the policy; where it is stored all the same, it comes after every tier that exists.',
  remedy: 'Create the tier, or correct its name.',
  check({ policies, tierNames }, report) {
    if (tierNames === null) return
    for (const { subject, flat, title } of policies) {
      const { tier } = flat.ref
      if (tierNames.has(tier)) continue
      const meant = closest(tier, tierNames)
      const hint = meant === null ? '' : `: did you mean ${meant}?`
      report(subject, ['spec', 'tier'], `${title} names tier ${tier}, which does not exist${hint}`)
    }
  },
}

/** Tiers that select endpoints, so that these count as protected, while nothing is ever denied to them. */
export const tierProtectsNothing: LintRule = {
  id: 'tier-protects-nothing',
  severity: 'warning',
  title: 'a tier whose endpoints are restricted by nothing',
  why: 'Reports count an endpoint as protected when any policy selects it. All that these policies do is to allow and to pass, and what is passed on is allowed by the profile of the namespace.',
  remedy: 'Add a policy that denies what is not allowed, or end the last tier without its catch-all Pass.',
  check(context, report) {
    for (const tier of context.tiers) {
      const enforced = tier.policies.filter(({ flat }) => !flat.staged)
      const last = enforced.at(-1)
      if (last === undefined) continue
      const found = context.inventory.hasWorkloads ? unprotected(tier, context) : restrictsNothing(context, tier)
      if (found !== null) report(last.subject, ['spec'], `tier ${tier.name} protects nothing: ${found}`)
    }
  },
}

/** Says how many endpoints the tier selects when no connection of any of them can be denied by policy; null otherwise. */
function unprotected(tier: LintTier, context: LintContext): string | null {
  const enforced = tier.policies.filter(({ flat }) => !flat.staged && !flat.doNotTrack && !flat.preDnat)
  const selected = [...new Set(enforced.flatMap(({ endpoints }) => endpoints))]
  if (selected.length === 0) return null
  for (const endpoint of selected) {
    for (const direction of directions) {
      const { deny } = outcomesOf(context, endpoint, direction, anyProbe)
      if (deny.some(({ policy }) => policy !== null)) return null
    }
  }
  return `it selects ${selected.length} endpoints (${listOfThings(selected)}), and no policy denies any of them anything`
}

/** Without endpoints to try, only a tier of which no policy denies, among tiers that all are so, surely protects nothing. */
function restrictsNothing({ tiers }: LintContext, tier: LintTier): string | null {
  if (tiers.some(({ policies, endsInDeny }) => policies.some((policy) => mayDeny(policy, policies, endsInDeny))))
    return null
  return `none of its ${tier.policies.length} policies denies anything, nor does another tier`
}

function mayDeny(policy: LintPolicy, policies: readonly LintPolicy[], endsInDeny: boolean): boolean {
  return directions.some((direction) => {
    if (!governs(policy, direction)) return false
    if (policy.flat.rules[direction].some(({ action }) => action === 'deny')) return true
    if (!endsInDeny || policy.flat.preDnat || policy.flat.doNotTrack) return false
    const closes = (other: LintPolicy) =>
      governs(other, direction) &&
      implies(policy.flat.selector.expression, other.flat.selector.expression) &&
      other.flat.rules[direction].some((rule) => rule.action !== 'log' && matchesEverything(rule))
    return !policies.some(closes)
  })
}
