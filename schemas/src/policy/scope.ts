import type { Direction, Endpoint, GoverningTier, Policy, PolicyModel, Stage } from './model.ts'

/** Policies as they are, or with staged ones as if enforced. */
export type Mode = 'enforced' | 'pending'

/** The policies that have a say about an endpoint in one direction and stage. */
export type Scope = Readonly<Record<Mode, readonly GoverningTier[]>> & {
  /** True when staged policies make a difference. */
  readonly hasPreview: boolean
}

interface Known {
  readonly revision: number
  readonly scope: Scope
}

/** Scopes by what the model says governs, which is one object as long as nothing changed. */
const known = new WeakMap<readonly GoverningTier[], Known>()

/** The policies that have a say. Tiers in which none has are left out: they do not end in a default action. */
export function scopeOf(model: PolicyModel, endpoint: Endpoint, direction: Direction, stage: Stage): Scope {
  const governing = model.governing(endpoint, direction, stage)
  const had = known.get(governing)
  if (had !== undefined && had.revision === model.revision) return had.scope
  const enforced = keep(governing, (policy) => !policy.staged)
  const hasPreview = governing.some(({ policies }) =>
    policies.some((policy) => policy.staged || model.replaced(policy)),
  )
  const pending = hasPreview ? keep(governing, (policy) => policy.staged || !model.replaced(policy)) : enforced
  const scope = { enforced, pending, hasPreview }
  known.set(governing, { revision: model.revision, scope })
  return scope
}

function keep(governing: readonly GoverningTier[], counts: (policy: Policy) => boolean): readonly GoverningTier[] {
  return governing
    .map(({ tier, policies }) => ({ tier, policies: policies.filter(counts) }))
    .filter(({ policies }) => policies.length > 0)
}
