import { MargayError } from '@margay/kit/errors'
import { builtInTiers, type Problem, type Resource, type ResourceKey } from '@margay/schemas'
import { builtInNamespaces } from './built-in.ts'
import type { ClusterView, Outcome } from './plan.ts'

/** A document of a request: the resource and where it was read from. */
export interface Document {
  readonly resource: Resource
  readonly file?: string
  readonly line?: number
}

const tieredPlurals = [
  'networkpolicies.projectcalico.org',
  'globalnetworkpolicies.projectcalico.org',
  'stagednetworkpolicies.projectcalico.org',
  'stagedglobalnetworkpolicies.projectcalico.org',
] as const
const tierPlural = 'tiers.projectcalico.org'

/** `<plural>.<group>` of a key. */
export const pluralOf = (key: ResourceKey) => key.slice(0, key.indexOf('/'))
/** Name in a key. */
export const nameOf = (key: ResourceKey) => key.slice(key.lastIndexOf('/') + 1)
/** Namespace in a key; null when there is none. */
export const namespaceOf = (key: ResourceKey) => {
  const namespace = key.slice(key.indexOf('/') + 1, key.lastIndexOf('/'))
  return namespace === '-' ? null : namespace
}

/** The cluster as it will be after the outcomes. */
export function viewAfter(cluster: ClusterView, outcomes: readonly Outcome[]): ClusterView {
  const changed = new Map(outcomes.map(({ key, after }) => [key, after]))
  return {
    version: outcomes.reduce((version, outcome) => Math.max(version, outcome.version), cluster.version),
    get: (key) => (changed.has(key) ? (changed.get(key) ?? null) : cluster.get(key)),
    list(plural) {
      const fresh = outcomes.filter(({ key }) => plural === undefined || pluralOf(key) === plural)
      const isFresh = new Set(fresh.map(({ before }) => before).filter((before) => before !== null))
      return [
        ...cluster.list(plural).filter((resource) => !isFresh.has(resource)),
        ...fresh.flatMap(({ after }) => (after === null ? [] : [after])),
      ]
    },
  }
}

/**
 * Checks what one document alone cannot tell: that the tier of a policy exists, that no two tiers share an order (spec 5.1, 5.13).
 */
export function admissionProblems(
  after: ClusterView,
  changes: readonly (Outcome & { readonly document: Document })[],
): Problem[] {
  const tiers = after.list(tierPlural)
  const names = new Set([...tiers.map(({ metadata }) => metadata.name), ...builtInTiers.map(({ name }) => name)])
  return changes.flatMap(({ key, document }) => {
    const plural = pluralOf(key)
    const found: Problem[] = []
    if (tieredPlurals.some((tiered) => tiered === plural))
      found.push(...tierReferenceProblems(document.resource, names))
    if (plural === tierPlural) found.push(...tierProblems(document.resource, tiers))
    return found.map((problem) => located(problem, document))
  })
}

/** A problem with the file and line of its document. */
export function located(problem: Problem, { file, line }: Pick<Document, 'file' | 'line'>): Problem {
  return {
    ...problem,
    ...(problem.file === undefined && file !== undefined ? { file } : {}),
    ...(problem.line === undefined && line !== undefined ? { line } : {}),
  }
}

function tierReferenceProblems(policy: Resource, tiers: ReadonlySet<string>): Problem[] {
  const tier = (policy.spec as { tier?: string } | undefined)?.tier ?? 'default'
  if (tiers.has(tier)) return []
  return [
    {
      severity: 'error',
      path: 'spec.tier',
      rule: 'tier-exists',
      message: `there is no tier ${JSON.stringify(tier)}: create it first or in the same request (tiers: ${[...tiers].sort().join(', ')})`,
    },
  ]
}

function tierProblems(tier: Resource, tiers: readonly Resource[]): Problem[] {
  const orderOf = ({ spec }: Resource) => (spec as { order?: number } | undefined)?.order
  const { name } = tier.metadata
  const order = orderOf(tier)
  const same = tiers.filter((other) => other.metadata.name !== name && order !== undefined && orderOf(other) === order)
  return same.map((other) => ({
    severity: 'warning',
    path: 'spec.order',
    rule: 'tier-order-unique',
    message: `the tier ${other.metadata.name} has order ${order} too: the names decide which is first`,
  }))
}

/**
 * Refuses deletions that would break the cluster.
 * Throws TIER_BUILT_IN, TIER_NOT_EMPTY or NAMESPACE_BUILT_IN, each with status 409.
 */
export function requireDeletable(after: ClusterView, outcomes: readonly Outcome[]): void {
  for (const { key, result } of outcomes) {
    if (result !== 'deleted') continue
    const name = nameOf(key)
    if (pluralOf(key) === 'namespaces.core' && builtInNamespaces.includes(name)) {
      throw new MargayError('NAMESPACE_BUILT_IN', `the namespace ${name} cannot be deleted: every cluster has it`, {
        status: 409,
      })
    }
    if (pluralOf(key) !== tierPlural) continue
    if (builtInTiers.some((tier) => tier.name === name)) {
      throw new MargayError('TIER_BUILT_IN', `the tier ${name} cannot be deleted: every cluster has it`, {
        status: 409,
      })
    }
    const held = tieredPlurals
      .flatMap((plural) => after.list(plural))
      .filter((policy) => ((policy.spec as { tier?: string } | undefined)?.tier ?? 'default') === name)
    if (held.length > 0) {
      const named = held.slice(0, 5).map(({ kind, metadata }) => {
        return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`
      })
      throw new MargayError(
        'TIER_NOT_EMPTY',
        `the tier ${name} holds ${held.length} ${held.length === 1 ? 'policy' : 'policies'} (${named.join(', ')}${held.length > 5 ? ', …' : ''}): delete or move them first`,
        { status: 409 },
      )
    }
  }
}
