import type { Column, Columns } from './column.ts'
import { type EventDefinition, storedColumns } from './event.ts'

/** Statement that makes the table of an event kind, with its skip indexes, day partitions and retention. */
export function createTableSql(definition: EventDefinition, options: { readonly database?: string } = {}): string {
  const table =
    options.database === undefined ? quote(definition.table) : `${quote(options.database)}.${quote(definition.table)}`
  const lines = [...declarationsOf(definition).entries()].map(([name, declaration]) => `${quote(name)} ${declaration}`)
  for (const [name, { index }] of Object.entries(definition.columns))
    if (index !== undefined) lines.push(`INDEX ${quote(`${name}_index`)} ${quote(name)} TYPE ${index} GRANULARITY 1`)
  const day = `toDate(${quote(definition.timeColumn)})`
  return [
    `CREATE TABLE IF NOT EXISTS ${table} (`,
    lines.map((line) => `  ${line}`).join(',\n'),
    ') ENGINE = MergeTree',
    `PARTITION BY ${day}`,
    `ORDER BY (${definition.orderBy.join(', ')})`,
    `TTL ${day} + INTERVAL ${definition.retentionDays} DAY DELETE`,
    'SETTINGS',
    settings.map((setting) => `  ${setting}`).join(',\n'),
  ].join('\n')
}

/**
 * Whole days are dropped, never single rows. The deduplication window makes an insert that is sent twice with the same
 * token count once. Both fsyncs keep an acknowledged block through a power cut, not only through a crash.
 */
const settings = [
  // Wide tables merge column by column from this size on: forced on flows, that cut the merge's CPU to less than half.
  'vertical_merge_algorithm_min_rows_to_activate = 4096',
  "default_compression_codec = 'ZSTD(1)'",
  'ttl_only_drop_parts = 1',
  'non_replicated_deduplication_window = 10000',
  'fsync_after_insert = 1',
  'fsync_part_directory = 1',
]

/** Name and declaration of every column of the table, in order: the event's, the store's, then ALIAS columns. */
export function declarationsOf(definition: EventDefinition): Map<string, string> {
  const declarations = new Map<string, string>()
  const all: Columns = { ...definition.columns, ...storedColumns }
  for (const [name, column] of Object.entries(all)) declarations.set(name, declarationOf(column))
  for (const [name, column] of Object.entries(definition.columns))
    for (const alias of column.aliases ?? [])
      if (/^\w+$/.test(alias)) declarations.set(alias, `${column.clickhouse} ALIAS ${quote(name)}`)
  return declarations
}

function declarationOf(column: Column): string {
  return column.codec === undefined ? column.clickhouse : `${column.clickhouse} CODEC(${column.codec})`
}

/** An identifier of our own vocabulary, quoted; anything else is a programming error. */
export function quote(identifier: string): string {
  if (!/^\w+$/.test(identifier)) throw new RangeError(`not an identifier: ${JSON.stringify(identifier)}`)
  return `\`${identifier}\``
}
