import { type Static, type TObject, type TOptional, type TSchema, Type } from 'typebox'

/**
 * One column of one event: its JSON form, its ClickHouse form and how the query language sees it.
 * Everything else (TypeScript type, validation, DDL, query fields, documentation) is derived from it.
 */
export interface Column<S extends TSchema = TSchema> {
  readonly schema: S
  /** The ClickHouse type, as written in DDL. */
  readonly clickhouse: string
  /** Compression codec; the table's default (ZSTD(1)) when absent. */
  readonly codec?: string
  /** Data skipping index, as in `bloom_filter(0.01)`. */
  readonly index?: string
  /** What the query language may compare it with; `none` keeps it out of queries. */
  readonly query: FieldType
  /** Values of an enum, compared case-insensitively. */
  readonly values?: readonly string[]
  /** True when an enum may also have values that are not listed. */
  readonly open?: boolean
  /** True when ordering operators may read the keyword as a number (HTTP status codes). */
  readonly numeric?: boolean
  /** Other spellings under which queries may name the column; those that are identifiers are ALIAS columns too. */
  readonly aliases?: readonly string[]
  /** Dotted place of the value in the JSON form, as in `objectRef.resource`; the column's own name when absent. */
  readonly path?: string
  /** Columns of each record of a nested column. */
  readonly members?: Columns
  readonly doc: string
}

/** How the query language compares a column. */
export type FieldType =
  | 'keyword'
  | 'enum'
  | 'number'
  | 'ip'
  | 'date'
  | 'boolean'
  | 'keywords'
  | 'numbers'
  | 'ips'
  | 'nested'
  | 'map'
  | 'maps'
  | 'json'
  | 'none'

/** What distinguishes one column from another of the same type. */
export type ColumnOptions = Partial<
  Pick<Column, 'codec' | 'index' | 'aliases' | 'query' | 'path' | 'values' | 'open' | 'numeric'>
>

function column<S extends TSchema>(schema: S, rest: Omit<Column, 'schema'>, options: ColumnOptions = {}): Column<S> {
  return { schema, ...rest, ...options }
}

/** 2100-01-01, after which no event can lie: a wrong clock must not make partitions without end. */
const latestTime = 4_102_444_800_000

/** Integers that JSON carries without loss. */
const wholeNumber = () => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

const address = () => Type.Union([Type.String({ format: 'ipv4' }), Type.String({ format: 'ipv6' })])

/** Unix time in milliseconds; ClickHouse stores it as DateTime64(3) in UTC. */
export const time = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Integer({ minimum: 0, maximum: latestTime }),
    { clickhouse: "DateTime64(3, 'UTC')", codec: 'Delta(8), ZSTD(1)', query: 'date', doc },
    options,
  )

/** A name from a small vocabulary that repeats: namespace, node, pod, policy. */
export const keyword = (doc: string, options?: ColumnOptions) =>
  column(Type.String(), { clickhouse: 'LowCardinality(String)', query: 'keyword', doc }, options)

/** Free text that rarely repeats: URLs, user agents, messages. */
export const text = (doc: string, options?: ColumnOptions) =>
  column(Type.String(), { clickhouse: 'String', query: 'keyword', doc }, options)

/** One of a closed list of words. */
export const choice = <const V extends readonly string[]>(values: V, doc: string, options?: ColumnOptions) =>
  column(
    Type.Enum(values as unknown as V[number][]),
    { clickhouse: 'LowCardinality(String)', query: 'enum', values, doc },
    options,
  )

/** One of the listed words, in any case, or another: protocols, DNS types, response codes. */
export const word = (values: readonly string[], doc: string, options?: ColumnOptions) =>
  column(Type.String(), { clickhouse: 'LowCardinality(String)', query: 'enum', values, open: true, doc }, options)

/** A non-negative integer that counts or measures. */
export const counter = (doc: string, options?: ColumnOptions) =>
  column(wholeNumber(), { clickhouse: 'UInt64', codec: 'T64, ZSTD(1)', query: 'number', doc }, options)

/** A non-negative integer below 65,536. */
export const port = (doc: string, options?: ColumnOptions) =>
  column(Type.Integer({ minimum: 0, maximum: 65_535 }), { clickhouse: 'UInt16', query: 'number', doc }, options)

/** How grave something is, 1 (least) to 100. */
export const severity = (doc: string, options?: ColumnOptions) =>
  column(Type.Integer({ minimum: 1, maximum: 100 }), { clickhouse: 'UInt8', query: 'number', doc }, options)

/** A port that aggregation or the protocol may have taken away. */
export const nullablePort = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Union([Type.Integer({ minimum: 0, maximum: 65_535 }), Type.Null()]),
    { clickhouse: 'Nullable(UInt16)', query: 'number', doc },
    options,
  )

/** An IPv4 or IPv6 address as text. Stored as IPv6, IPv4 mapped. */
export const ip = (doc: string, options?: ColumnOptions) =>
  column(address(), { clickhouse: 'IPv6', query: 'ip', doc }, options)

/** An address that aggregation may have taken away. */
export const nullableIp = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Union([Type.String({ format: 'ipv4' }), Type.Null(), Type.String({ format: 'ipv6' })]),
    { clickhouse: 'Nullable(IPv6)', query: 'ip', doc },
    options,
  )

/** Several keywords; `=` holds when one element matches. */
export const keywords = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(Type.String()), { clickhouse: 'Array(LowCardinality(String))', query: 'keywords', doc }, options)

/** Several integers. */
export const numbers = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(wholeNumber()), { clickhouse: 'Array(UInt64)', query: 'numbers', doc }, options)

/** Several addresses. */
export const ips = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(address()), { clickhouse: 'Array(IPv6)', query: 'ips', doc }, options)

/** True or false. */
export const boolean = (doc: string, options?: ColumnOptions) =>
  column(Type.Boolean(), { clickhouse: 'Bool', query: 'boolean', doc }, options)

/** A JSON object or array, stored as its text; not queryable except by SQL's JSON functions. */
export const json = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Unsafe<unknown>({ anyOf: [{ type: 'object' }, { type: 'array' }] }),
    { clickhouse: 'String', codec: 'ZSTD(3)', query: 'json', doc },
    options,
  )

/** Free names with text values; queries name one entry, as in `annotations.reason`. */
export const map = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Record(Type.String(), Type.String()),
    { clickhouse: 'Map(LowCardinality(String), String)', query: 'map', doc },
    options,
  )

/** Free names, each with several text values; queries name one entry. */
export const maps = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Record(Type.String(), Type.Array(Type.String())),
    { clickhouse: 'Map(LowCardinality(String), Array(String))', query: 'maps', doc },
    options,
  )

/** A list of records: `Array(Tuple(...))` in ClickHouse, `name.member` in queries. */
export const nested = <const M extends Columns>(members: M, doc: string) =>
  column(Type.Array(objectOf(members)), {
    clickhouse: `Array(Tuple(${Object.entries(members)
      .map(([name, member]) => `${name} ${member.clickhouse}`)
      .join(', ')}))`,
    query: 'nested',
    members,
    doc,
  })

/** The column may be left out of the JSON form; ClickHouse then stores the type's default. */
export function optional<S extends TSchema>(column: Column<S>): Column<TOptional<S>> {
  return { ...column, schema: Type.Optional(column.schema) as TOptional<S> }
}

/** JSON schema of an object with one member for each column. */
function objectOf<const C extends Columns>(columns: C): SchemaOf<C> {
  const properties = Object.fromEntries(Object.entries(columns).map(([name, { schema }]) => [name, schema]))
  return Type.Object(properties) as unknown as SchemaOf<C>
}

/** The columns of a kind, by name, in the order of the table. */
export type Columns = Readonly<Record<string, Column>>
/** The JSON schema of events with these columns. */
export type SchemaOf<C extends Columns> = TObject<{ -readonly [K in keyof C]: C[K]['schema'] }>
/** An event with these columns, in its JSON form. */
export type EventOf<C extends Columns> = Static<SchemaOf<C>>
