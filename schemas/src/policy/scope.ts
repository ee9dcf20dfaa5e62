import type { Direction, Endpoint, GoverningTier, Policy, PolicyModel, Stage } from './model.ts'

/** Policies as they are, or with staged ones as if enforced. */
export type Mode = 'enforced' | 'pending'

/** The policies that have a say about an endpoint in one direction and stage. */
export interface Scope {
  readonly enforced: readonly GoverningTier[]
  readonly pending: readonly GoverningTier[]
  /** True when staged policies make a difference. */
  readonly hasPreview: boolean
}

/** The scopes of one endpoint, by direction and stage, as long as its model stays as it is. */
interface Known {
  readonly model: PolicyModel
  readonly revision: number
  readonly ingress: Partial<Record<Stage, Scope>>
  readonly egress: Partial<Record<Stage, Scope>>
}

const known = new WeakMap<Endpoint, Known>()

/** The policies that have a say. Tiers in which none has are left out: they do not end in a default action. */
export function scopeOf(model: PolicyModel, endpoint: Endpoint, direction: Direction, stage: Stage): Scope {
  let of = known.get(endpoint)
  if (of === undefined || of.model !== model || of.revision !== model.revision) {
    of = { model, revision: model.revision, ingress: {}, egress: {} }
    known.set(endpoint, of)
  }
  const scopes = of[direction]
  let scope = scopes[stage]
  if (scope === undefined) {
    scope = readScope(model, endpoint, direction, stage)
    scopes[stage] = scope
  }
  return scope
}

function readScope(model: PolicyModel, endpoint: Endpoint, direction: Direction, stage: Stage): Scope {
  const governing = model.governing(endpoint, direction, stage)
  const hasPreview = governing.some(({ policies }) =>
    policies.some((policy) => policy.staged || model.replaced(policy)),
  )
  const enforced = keep(governing, (policy) => !policy.staged)
  const pending = hasPreview ? keep(governing, (policy) => policy.staged || !model.replaced(policy)) : enforced
  return { enforced, pending, hasPreview }
}

function keep(governing: readonly GoverningTier[], counts: (policy: Policy) => boolean): readonly GoverningTier[] {
  return governing
    .map(({ tier, policies }) => ({ tier, policies: policies.filter(counts) }))
    .filter(({ policies }) => policies.length > 0)
}
