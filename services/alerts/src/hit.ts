import { sha256 } from '@margay/kit/identity'

/** One thing that an alert found in a window: a row, a group, or the whole window when there is only a metric. */
export interface Hit {
  /** Identity of the group or row within its alert. */
  readonly fingerprint: string
  /** Values of the group, or null for a row. */
  readonly group: Readonly<Record<string, unknown>> | null
  /** True when each row is a hit of its own: such a hit is never raised twice. */
  readonly isRow: boolean
  /** What the event keeps: the row, or the group with its metric (spec 1.6). */
  readonly record: Readonly<Record<string, unknown>>
  /** True when the lab's evaluator, not a kernel, saw some of what was counted. */
  readonly isSimulated: boolean
}

/** A hit of a group of an alert; the order of the fields does not matter. */
export function groupHit(
  group: Readonly<Record<string, unknown>>,
  metric: Readonly<Record<string, unknown>>,
  isSimulated: boolean,
): Hit {
  const sorted = Object.fromEntries(Object.entries(group).sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    fingerprint: sha256(JSON.stringify(sorted)),
    group,
    isRow: false,
    record: { ...group, ...metric },
    isSimulated,
  }
}

/** A hit of a single row, told from all others by its place in the event log. */
export function rowHit(row: Readonly<Record<string, unknown>>, place: readonly unknown[]): Hit {
  return {
    fingerprint: sha256(JSON.stringify(place)),
    group: null,
    isRow: true,
    record: row,
    isSimulated: row.simulated === true,
  }
}

/** The group as people read it: `source_namespace=default, source_name_aggr=loadgenerator-*`. */
export function groupText(hit: Hit): string {
  return Object.entries(hit.group ?? {})
    .map(([field, value]) => `${field}=${textOf(value)}`)
    .join(', ')
}

/** A value as people read it; nothing is an empty text. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
