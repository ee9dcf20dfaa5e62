import type { Column } from '../events/column.ts'
import type { EventDefinition } from '../events/event.ts'

/** What the query language can compare. */
export type Comparable = 'keyword' | 'enum' | 'number' | 'ip' | 'date' | 'boolean'

/** Something a query can name: what it is called, what it may be compared with, and where its values lie. */
export interface Field {
  /** Canonical name, as in `objectRef.resource`, `rrsets.rdata` or `annotations.*`. */
  readonly name: string
  readonly type: Comparable
  /** True when one event has several values. */
  readonly many: boolean
  /** True when the value may be null. */
  readonly nullable: boolean
  /** Known values of an enum. */
  readonly values: readonly string[]
  /** True when an enum has further values. */
  readonly open: boolean
  /** True when a keyword may be ordered by the number that it spells. */
  readonly numeric: boolean
  readonly aliases: readonly string[]
  /** True when `*` in the name stands for any key; `findField` fills it in. */
  readonly keyed: boolean
  readonly sources: readonly Source[]
  readonly doc: string
}

/** One place that holds values of a field. */
export interface Source {
  /** Column of the table. */
  readonly column: string
  /** Steps to the value in the JSON form of an event. */
  readonly path: readonly string[]
  /** Member of each record of a nested column. */
  readonly member?: string
  /** True when each record holds a list of values itself. */
  readonly flatten?: boolean
  /** Key of an entry of a map. */
  readonly key?: string
}

const known = new WeakMap<EventDefinition, readonly Field[]>()

/** Every field that queries over a data set can name, in the order of its columns. */
export function fieldsOf(definition: EventDefinition): readonly Field[] {
  let fields = known.get(definition)
  if (!fields) {
    fields = [
      ...Object.entries(definition.columns).flatMap(([name, column]) => columnFields(name, column)),
      ...unionFields(definition),
    ]
    known.set(definition, fields)
  }
  return fields
}

/** The field that a query means by a name: a canonical name, an alias, or an entry of a map; null when there is none. */
export function findField(definition: EventDefinition, name: string): Field | null {
  for (const field of fieldsOf(definition)) {
    if (!field.keyed) {
      if (field.name === name || field.aliases.includes(name)) return field
      continue
    }
    const prefix = field.name.slice(0, -1)
    if (!name.startsWith(prefix) || name.length === prefix.length) continue
    const key = name.slice(prefix.length)
    return { ...field, name, keyed: false, sources: field.sources.map((source) => ({ ...source, key })) }
  }
  return null
}

function columnFields(name: string, column: Column): Field[] {
  const canonical = column.path ?? name
  const source = { column: name, path: canonical.split('.') }
  const aliases = column.path === undefined ? (column.aliases ?? []) : [name, ...(column.aliases ?? [])]
  switch (column.query) {
    case 'none':
    case 'json':
      return []
    case 'nested':
      return Object.entries(column.members ?? {}).map(([member, inner]) => {
        const flatten = inner.query === 'keywords' || inner.query === 'numbers' || inner.query === 'ips'
        return aField(`${canonical}.${member}`, inner, [{ ...source, member, flatten }], inner.aliases ?? [], true)
      })
    case 'map':
      return [{ ...aField(`${canonical}.*`, column, [source], [], false), keyed: true }]
    case 'maps':
      return [{ ...aField(`${canonical}.*`, column, [source], [], true), keyed: true }]
    default:
      return [aField(canonical, column, [source], aliases, false)]
  }
}

function unionFields(definition: EventDefinition): Field[] {
  return Object.entries(definition.unions ?? {}).map(([name, columns]) => {
    const first = definition.columns[columns[0] as string] as Column
    const sources = columns.map((column) => ({ column, path: [column] }))
    return { ...aField(name, first, sources, [], true), doc: `any of ${columns.join(', ')}` }
  })
}

function aField(
  name: string,
  column: Column,
  sources: readonly Source[],
  aliases: readonly string[],
  many: boolean,
): Field {
  const { type, several } = typeOf(column)
  return {
    name,
    type,
    many: many || several,
    nullable: column.clickhouse.startsWith('Nullable('),
    values: column.values ?? [],
    open: column.open ?? false,
    numeric: column.numeric ?? false,
    aliases,
    keyed: false,
    sources,
    doc: column.doc,
  }
}

function typeOf(column: Column): { type: Comparable; several: boolean } {
  switch (column.query) {
    case 'enum':
    case 'number':
    case 'ip':
    case 'date':
    case 'boolean':
      return { type: column.query, several: false }
    case 'keywords':
      return { type: 'keyword', several: true }
    case 'numbers':
      return { type: 'number', several: true }
    case 'ips':
      return { type: 'ip', several: true }
    default:
      return { type: 'keyword', several: false }
  }
}
