import { Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { labelName } from '../name.ts'
import type { Resource } from '../resource.ts'
import { oneOf, optional, status } from '../schema.ts'

const spec = Type.Object({ order: optional(Type.Number()), defaultAction: optional(oneOf(['Deny', 'Pass'])) })

/** The spec of a Tier. */
export interface TierSpec {
  order?: number
  defaultAction?: 'Deny' | 'Pass'
}

/** Tiers that always exist; their order and default action are fixed. */
export const builtInTiers: readonly {
  readonly name: string
  readonly order: number
  readonly defaultAction: 'Deny' | 'Pass'
}[] = [
  { name: 'kube-admin', order: 1000, defaultAction: 'Pass' },
  { name: 'default', order: 1_000_000, defaultAction: 'Deny' },
  { name: 'kube-baseline', order: 10_000_000, defaultAction: 'Pass' },
]

const specOf = (resource: Resource): TierSpec => (resource.spec ?? {}) as TierSpec
const builtIn = (resource: Resource) => builtInTiers.find(({ name }) => name === resource.metadata.name)

const builtInTiersStay: Check = (resource, report) => {
  const fixed = builtIn(resource)
  if (fixed === undefined) return
  const { order, defaultAction } = specOf(resource)
  if (order !== undefined && order !== fixed.order) {
    report.error(['spec', 'order'], 'built-in-tier', `tier ${fixed.name} is built in: its order is ${fixed.order}`)
  }
  if (defaultAction !== undefined && defaultAction !== fixed.defaultAction) {
    report.error(
      ['spec', 'defaultAction'],
      'built-in-tier',
      `tier ${fixed.name} is built in: its default action is ${fixed.defaultAction}`,
    )
  }
}

export const tier = defineKind({
  kind: 'Tier',
  plural: 'tiers',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(spec), status: status() }),
  nameRule: labelName,
  checks: [builtInTiersStay],
  defaults(resource) {
    const fixed = builtIn(resource)
    const given = specOf(resource)
    resource.spec = given
    given.defaultAction ??= fixed?.defaultAction ?? 'Deny'
    if (fixed !== undefined) given.order ??= fixed.order
  },
})
