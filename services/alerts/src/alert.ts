import { MargayError, messageOf } from '@margay/kit/errors'
import { sha256 } from '@margay/kit/identity'
import { type Resource, requireDuration } from '@margay/schemas'

/** What is computed of the rows of a group (spec 1.2). */
export type Metric = 'count' | 'sum' | 'avg' | 'min' | 'max'
/** How a metric is compared with the threshold. */
export type Condition = 'eq' | 'not_eq' | 'lt' | 'lte' | 'gt' | 'gte'

/** A GlobalAlert as it is evaluated: defaults filled in, durations in milliseconds (spec 1.2). */
export interface Alert {
  /** Stays the same while the resource lives, whatever is edited. */
  readonly uid: string
  readonly name: string
  /** Digest of the spec: changes with every edit. */
  readonly revision: string
  readonly description: string
  /** Template of an event's description. */
  readonly summary: string
  readonly severity: number
  readonly dataSet: string
  readonly periodMs: number
  readonly lookbackMs: number
  readonly query: string
  readonly aggregateBy: readonly string[]
  readonly metric: Metric | null
  readonly field: string | null
  readonly condition: Condition
  readonly threshold: number
  readonly substitutions: readonly { readonly name: string; readonly values: readonly string[] }[]
}

interface Spec {
  type?: string
  description?: string
  summary?: string
  severity?: number
  dataSet?: string
  period?: string
  lookback?: string
  query?: string
  aggregateBy?: string | string[]
  metric?: Metric
  field?: string
  condition?: Condition
  threshold?: number
  substitutions?: { name: string; values?: string[] }[]
}

/** Reads a GlobalAlert. Throws ALERT_INVALID when its spec cannot be evaluated (admission lets no such alert in). */
export function readAlert(resource: Resource): Alert {
  const { name, uid } = resource.metadata
  const spec = (resource.spec ?? {}) as Spec
  try {
    if (spec.type !== undefined && spec.type !== '' && spec.type !== 'RuleBased')
      throw new RangeError(`type ${spec.type} is not supported; use RuleBased`)
    if (typeof spec.severity !== 'number') throw new RangeError('severity is missing')
    const description = spec.description ?? ''
    return {
      uid: uid ?? name,
      name,
      revision: sha256(JSON.stringify(spec)),
      description,
      summary: spec.summary !== undefined && spec.summary !== '' ? spec.summary : description,
      severity: spec.severity,
      dataSet: spec.dataSet ?? '',
      periodMs: requireDuration(spec.period ?? '5m'),
      lookbackMs: requireDuration(spec.lookback ?? '10m'),
      query: spec.query ?? '',
      aggregateBy: typeof spec.aggregateBy === 'string' ? [spec.aggregateBy] : (spec.aggregateBy ?? []),
      metric: spec.metric ?? null,
      field: spec.field ?? null,
      condition: spec.condition ?? 'gt',
      threshold: spec.threshold ?? 0,
      substitutions: (spec.substitutions ?? []).map((s) => ({ name: s.name, values: s.values ?? [] })),
    }
  } catch (cause) {
    throw new MargayError('ALERT_INVALID', `cannot evaluate the alert ${name}: ${messageOf(cause)}`, { cause })
  }
}
