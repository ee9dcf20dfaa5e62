import type { StoredRecord } from '@margay/kit/event-log'

/**
 * A run of records of one partition that is inserted as one: both offsets belong to it. After a crash the same run is inserted
 * again under the same token, which is why its ends are remembered before the first attempt.
 */
export interface Unit {
  readonly topic: string
  readonly partition: number
  readonly first: number
  readonly last: number
  /** When the log took the first record, unix ms: tells a log that was wiped from the one the unit was cut from. */
  readonly at: number
}

/** How large a unit may become. One record alone may be larger. */
export interface UnitLimits {
  readonly rows: number
  readonly bytes: number
}

/** A piece of a batch: records to insert as one, or records that are stored already. */
export type Piece =
  | { readonly kind: 'insert'; readonly unit: Unit; readonly records: readonly StoredRecord[]; readonly known: boolean }
  | { readonly kind: 'skip'; readonly last: number }

/** The name under which ClickHouse takes a unit once. */
export function tokenOf(unit: Unit): string {
  return `${unit.topic}/${unit.partition}/${unit.first}-${unit.last}@${unit.at}`
}

/** Rows of a block, as its header tells; one for a record without. */
function rowsOf(record: StoredRecord): number {
  const count = Number(record.headers.count)
  return Number.isSafeInteger(count) && count > 0 ? count : 1
}

/**
 * Cuts the records of one partition into pieces: where a unit was cut before, again just so; elsewhere as large as the limits
 * allow. A record inside a unit that began earlier was stored with it: the group's offset had moved past the unit's beginning.
 * A known unit may end beyond the records at hand; `records` of its piece then lack the rest.
 */
export function cut(records: readonly StoredRecord[], known: readonly Unit[], limits: UnitLimits): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  while (at < records.length) {
    const record = records[at] as StoredRecord
    const inside = known.find((unit) => unit.first < record.offset && record.offset <= unit.last)
    if (inside !== undefined) {
      while (at < records.length && (records[at] as StoredRecord).offset <= inside.last) at += 1
      pieces.push({ kind: 'skip', last: inside.last })
      continue
    }
    const again = known.find((unit) => unit.first === record.offset && unit.at === record.timestamp)
    const next = known.reduce(
      (least, unit) => (unit.first > record.offset ? Math.min(least, unit.first) : least),
      Infinity,
    )
    const taken: StoredRecord[] = []
    let rows = 0
    let size = 0
    for (; at < records.length; at += 1) {
      const candidate = records[at] as StoredRecord
      if (again !== undefined ? candidate.offset > again.last : candidate.offset >= next) break
      rows += rowsOf(candidate)
      size += candidate.value?.length ?? 0
      if (again === undefined && taken.length > 0 && (rows > limits.rows || size > limits.bytes)) break
      taken.push(candidate)
    }
    const { topic, partition } = record
    const last = (taken.at(-1) as StoredRecord).offset
    const unit = again ?? { topic, partition, first: record.offset, last, at: record.timestamp }
    pieces.push({ kind: 'insert', unit, records: taken, known: again !== undefined })
  }
  return pieces
}
