import { type Static, type TObject, type TOptional, type TProperties, type TSchema, Type } from 'typebox'

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
  /** What the query language may compare it with; `none` keeps it out of queries. */
  readonly query: FieldType
  /** Allowed values of an enum, compared case-insensitively. */
  readonly values?: readonly string[]
  /** Other spellings under which queries may name the column. */
  readonly aliases?: readonly string[]
  /** Names and query types of the members of a nested column (`rrsets.rdata`). */
  readonly members?: Readonly<Record<string, FieldType>>
  readonly doc: string
}

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
  | 'json'
  | 'none'

/** What distinguishes one column from another of the same type. */
export type ColumnOptions = Partial<Pick<Column, 'codec' | 'aliases' | 'query'>>

function column<S extends TSchema>(schema: S, rest: Omit<Column, 'schema'>, options: ColumnOptions = {}): Column<S> {
  return { schema, ...rest, ...options }
}

/** Unix time in milliseconds; ClickHouse stores it as DateTime64(3). */
export const time = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Integer({ minimum: 0 }),
    { clickhouse: 'DateTime64(3)', codec: 'Delta(8), ZSTD(1)', query: 'date', doc },
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

/** A non-negative integer that counts or measures. */
export const counter = (doc: string, options?: ColumnOptions) =>
  column(Type.Integer({ minimum: 0 }), { clickhouse: 'UInt64', codec: 'T64, ZSTD(1)', query: 'number', doc }, options)

/** A non-negative integer below 65,536. */
export const port = (doc: string, options?: ColumnOptions) =>
  column(Type.Integer({ minimum: 0, maximum: 65_535 }), { clickhouse: 'UInt16', query: 'number', doc }, options)

/** A port that aggregation or the protocol may have taken away. */
export const nullablePort = (doc: string, options?: ColumnOptions) =>
  column(
    Type.Union([Type.Integer({ minimum: 0, maximum: 65_535 }), Type.Null()]),
    { clickhouse: 'Nullable(UInt16)', query: 'number', doc },
    options,
  )

/** An IPv4 or IPv6 address as text; null when aggregated. Stored as IPv6, IPv4 mapped. */
export const nullableIp = (doc: string, options?: ColumnOptions) =>
  column(Type.Union([Type.String(), Type.Null()]), { clickhouse: 'Nullable(IPv6)', query: 'ip', doc }, options)

/** Several keywords; `=` holds when one element matches. */
export const keywords = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(Type.String()), { clickhouse: 'Array(LowCardinality(String))', query: 'keywords', doc }, options)

/** Several integers. */
export const numbers = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(Type.Integer({ minimum: 0 })), { clickhouse: 'Array(UInt64)', query: 'numbers', doc }, options)

/** Several addresses. */
export const ips = (doc: string, options?: ColumnOptions) =>
  column(Type.Array(Type.String()), { clickhouse: 'Array(IPv6)', query: 'ips', doc }, options)

export const boolean = (doc: string, options?: ColumnOptions) =>
  column(Type.Boolean(), { clickhouse: 'Bool', query: 'boolean', doc }, options)

/** Any JSON value, stored as its text; not queryable except by SQL's JSON functions. */
export const json = (doc: string, options?: ColumnOptions) =>
  column(Type.Unknown(), { clickhouse: 'String', codec: 'ZSTD(3)', query: 'json', doc }, options)

/** A list of records: `Array(Tuple(...))` in ClickHouse, `name.member` in queries. */
export const nested = <P extends TProperties>(
  properties: P,
  clickhouse: string,
  members: Readonly<Record<string, FieldType>>,
  doc: string,
) => column(Type.Array(Type.Object(properties)), { clickhouse, query: 'nested', members, doc })

/** The column may be left out of the JSON form; ClickHouse then stores the type's default. */
export function optional<S extends TSchema>(column: Column<S>): Column<TOptional<S>> {
  return { ...column, schema: Type.Optional(column.schema) as TOptional<S> }
}

export type Columns = Readonly<Record<string, Column>>
export type SchemaOf<C extends Columns> = TObject<{ [K in keyof C]: C[K]['schema'] }>
export type EventOf<C extends Columns> = Static<SchemaOf<C>>
