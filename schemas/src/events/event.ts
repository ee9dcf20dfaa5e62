import { type TObject, type TSchema, Type } from 'typebox'
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
  /** Query fields that read several keyword columns at once, and the columns they read. */
  readonly unions?: Readonly<Record<string, readonly string[]>>
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

/** Makes an event definition; `schema` is built from the columns, nested where their paths have dots. */
export function defineEvent<const C extends Columns>(
  definition: Omit<EventDefinition, 'schema' | 'columns' | 'timeColumn'> & {
    readonly columns: C
    readonly timeColumn: keyof C & string
  },
): Omit<EventDefinition, 'columns'> & { readonly columns: C } {
  return { ...definition, schema: schemaOf(definition.columns) }
}

/** An object that holds one column may be left out when everything in it may. */
function schemaOf(columns: Columns): TObject {
  const properties: Record<string, TSchema> = {}
  const inner = new Map<string, Record<string, Columns[string]>>()
  for (const [name, column] of Object.entries(columns)) {
    const path = column.path ?? name
    const dot = path.indexOf('.')
    if (dot < 0) {
      properties[path] = column.schema
      continue
    }
    const head = path.slice(0, dot)
    const members = inner.get(head) ?? {}
    members[path.slice(dot + 1)] = { ...column, path: path.slice(dot + 1) }
    inner.set(head, members)
  }
  for (const [head, members] of inner) {
    const schema = schemaOf(members)
    properties[head] = (schema.required ?? []).length > 0 ? schema : Type.Optional(schema)
  }
  return Type.Object(properties)
}

/** The topic that carries the events of a definition. */
export function topicOf(definition: Pick<EventDefinition, 'kind' | 'version'>): string {
  return `margay.${definition.kind}.v${definition.version}`
}

/** The kind of endpoint at one end of a flow: workload, host, network set, or an address outside the cluster. */
export const endpointType = (doc: string, aliases: readonly string[] = []) =>
  choice(['wep', 'hep', 'ns', 'net'], doc, { aliases })
