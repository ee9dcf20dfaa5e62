import type { EventDefinition } from '../events/event.ts'
import { selectList, type TimeForm } from '../events/selection.ts'
import { quote } from '../events/table.ts'
import type { Query } from './expression.ts'
import { type BoundSql, querySql } from './sql.ts'

/** Which events to read. Times are unix milliseconds, compared with the definition's time column. */
export interface EventsWanted {
  /** Absent: all. */
  readonly query?: Query
  /** First millisecond wanted. */
  readonly from?: number
  /** First millisecond no longer wanted. */
  readonly to?: number
  /** `newest` (default) or `oldest` first. */
  readonly first?: 'newest' | 'oldest'
  readonly limit?: number
  /** How times are written in the answer; RFC 3339 when absent. */
  readonly times?: TimeForm
}

/**
 * Statement that reads events in their JSON form (`eventOfRow` finishes each row). The condition stands in a subquery,
 * where columns still have their own types.
 */
export function eventsSql(definition: EventDefinition, wanted: EventsWanted = {}): BoundSql {
  const { sql, params } = wanted.query ? querySql(wanted.query) : { sql: '1', params: {} }
  const conditions = [sql]
  const time = quote(definition.timeColumn)
  if (wanted.to !== undefined) {
    conditions.unshift(`${time} < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`)
    params.to = wanted.to
  }
  if (wanted.from !== undefined) {
    conditions.unshift(`${time} >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`)
    params.from = wanted.from
  }
  const inner = [
    `SELECT * FROM ${quote(definition.table)}`,
    `WHERE ${conditions.join(' AND ')}`,
    `ORDER BY ${time} ${wanted.first === 'oldest' ? 'ASC' : 'DESC'}`,
  ]
  if (wanted.limit !== undefined) {
    inner.push('LIMIT {limit:UInt64}')
    params.limit = wanted.limit
  }
  return { sql: `SELECT ${selectList(definition, wanted.times)} FROM (${inner.join(' ')})`, params }
}
