import { type TObject, Type } from 'typebox'
import { boolean, type Columns, choice, counter, keyword, optional, port, time } from './column.ts'

/** The definition of one event kind. The log's topic, the table and the query data set follow from it. */
export interface EventDefinition {
  /** Singular name, as in the topic `margay.<kind>.v<version>`. */
  readonly kind: string
  readonly version: number
  /** ClickHouse table. */
  readonly table: string
  /** Name under which the query language and GlobalAlert know it. */
  readonly dataSet: string
  /** The column that places the event in time. */
  readonly timeColumn: string
  readonly columns: Columns
  /** JSON schema of one event. */
  readonly schema: TObject
  /** Expressions or columns of the table's sorting key. */
  readonly orderBy: readonly string[]
  /** Days kept (spec 4.9). */
  readonly retentionDays: number
  readonly doc: string
}

/** Columns that every event has, whatever its kind. */
export const common = {
  cluster: keyword('cluster the event was seen in'),
  host: keyword('node that reported the event', { aliases: ['node'] }),
  simulated: optional(boolean('true when no kernel saw it: the lab judged it with the evaluator')),
} as const

/** Columns that the store adds when it writes the event: when it arrived and where it lies in the log. */
export const storedColumns = {
  ingest_time: time('when the store wrote the row'),
  log_partition: port('partition of the event log'),
  log_offset: counter('offset of the block in the partition', { codec: 'Delta, ZSTD(1)' }),
  log_index: counter('position of the event in its block', { codec: 'Delta, ZSTD(1)' }),
} as const

/** Makes an event definition; `schema` is built from the columns. */
export function defineEvent<const C extends Columns>(
  definition: Omit<EventDefinition, 'schema' | 'columns' | 'timeColumn'> & {
    readonly columns: C
    readonly timeColumn: keyof C & string
  },
): EventDefinition & { readonly columns: C } {
  const properties = Object.fromEntries(Object.entries(definition.columns).map(([name, { schema }]) => [name, schema]))
  return { ...definition, schema: Type.Object(properties) }
}
/** The topic that carries the events of a definition. */
export function topicOf(definition: Pick<EventDefinition, 'kind' | 'version'>): string {
  return `margay.${definition.kind}.v${definition.version}`
}

/** The kind of endpoint at one end of a flow: workload, host, network set, or an address outside the cluster. */
export const endpointType = (doc: string) => choice(['wep', 'hep', 'ns', 'net'], doc)
