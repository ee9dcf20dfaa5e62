import { type EventDefinition, type Query, querySql, selectList } from '@margay/schemas'
import type { Cursor } from './cursor.ts'

/** Which events of a data set to read. */
export interface PageRequest {
  /** Null: all. */
  readonly query: Query | null
  /** Unix milliseconds, inclusive. */
  readonly from: number
  /** Unix milliseconds, exclusive. */
  readonly to: number
  readonly order: 'asc' | 'desc'
  readonly limit: number
  /** Last row of the page before. */
  readonly after: Cursor | null
}

/** SQL with its bound parameters. */
export interface Statement {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
}

/** Columns beside the event's own that tell a row's place; see `cursorOfRow`. */
const placeColumns = ['log_partition', 'log_offset', 'log_index'] as const

/**
 * The statement that reads one page, and one row more to tell whether there is another page. Rows are filtered and
 * ordered by the stored columns inside, and brought into their JSON form outside.
 */
export function pageStatement(definition: EventDefinition, request: PageRequest): Statement {
  const time = definition.timeColumn
  const place = [time, ...placeColumns]
  const direction = request.order === 'asc' ? 'ASC' : 'DESC'
  const conditions = [
    `${time} >= fromUnixTimestamp64Milli({from:Int64})`,
    `${time} < fromUnixTimestamp64Milli({to:Int64})`,
  ]
  const params: Record<string, unknown> = { from: request.from, to: request.to }
  if (request.query !== null) {
    const condition = querySql(request.query)
    conditions.push(`(${condition.sql})`)
    Object.assign(params, condition.params)
  }
  if (request.after !== null) {
    const { time: at, partition, offset, index } = request.after
    // The plain condition on time lets ClickHouse skip what the tuple alone would make it read.
    conditions.push(
      `${time} ${request.order === 'asc' ? '>=' : '<='} fromUnixTimestamp64Milli({afterTime:Int64})`,
      `(${place.join(', ')}) ${request.order === 'asc' ? '>' : '<'} (fromUnixTimestamp64Milli({afterTime:Int64}), {afterPartition:UInt16}, {afterOffset:UInt64}, {afterIndex:UInt64})`,
    )
    Object.assign(params, { afterTime: at, afterPartition: partition, afterOffset: offset, afterIndex: index })
  }
  const rows = `SELECT * FROM ${definition.table} WHERE ${conditions.join(' AND ')} ORDER BY ${place
    .map((column) => `${column} ${direction}`)
    .join(', ')} LIMIT ${request.limit + 1}`
  return { sql: `SELECT ${selectList(definition)}, ${placeColumns.join(', ')} FROM (${rows})`, params }
}

/** The same page as a person would write it, with every column of the table and parameters written out. */
export function pageCondition(definition: EventDefinition, request: PageRequest): Statement {
  const { sql, params } = pageStatement(definition, { ...request, after: null, limit: request.limit - 1 })
  return { sql: sql.slice(sql.indexOf('FROM (SELECT *') + 'FROM ('.length, -1), params }
}

/** Place of a row that `pageStatement` read. */
export function cursorOfRow(definition: EventDefinition, row: Readonly<Record<string, unknown>>): Cursor {
  return {
    time: Date.parse(String(row[definition.timeColumn])),
    partition: Number(row.log_partition),
    offset: Number(row.log_offset),
    index: Number(row.log_index),
  }
}
