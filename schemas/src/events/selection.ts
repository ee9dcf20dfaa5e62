import type { Column } from './column.ts'
import type { EventDefinition } from './event.ts'
import { quote } from './table.ts'

/** How times are selected: as people and HTTP answers read them, or as events carry them. */
export type TimeForm = 'rfc3339' | 'milliseconds'

/**
 * Select list that gives the columns of an event back in their JSON form: times as RFC 3339 in UTC (or unix
 * milliseconds), addresses as text with IPv4 not mapped. JSON columns come as text; `eventOfRow` parses them and nests
 * what was nested. Put it inside a subquery of its own: it hides the stored columns behind their names.
 */
export function selectList(definition: EventDefinition, times: TimeForm = 'rfc3339'): string {
  return Object.entries(definition.columns)
    .map(([name, column]) => {
      const expression = jsonForm(quote(name), column, times)
      return expression === quote(name) ? expression : `${expression} AS ${quote(name)}`
    })
    .join(', ')
}

/** SQL expression that gives the JSON form of one column, or of any expression of that column's type. */
function jsonForm(expression: string, column: Column, times: TimeForm = 'rfc3339'): string {
  switch (column.query) {
    case 'date':
      return times === 'milliseconds' ? `toUnixTimestamp64Milli(${expression})` : timeText(expression)
    case 'ip':
      return addressText(expression)
    case 'ips':
      return `arrayMap(a -> ${addressText('a')}, ${expression})`
    case 'nested':
      return nestedForm(expression, column)
    default:
      return expression
  }
}

/** `2026-01-31T12:00:00.000Z` from a DateTime64(3). */
export function timeText(expression: string): string {
  return `concat(replaceOne(toString(${expression}, 'UTC'), ' ', 'T'), 'Z')`
}

/** An IPv6 as text; the mapped form of IPv4 becomes IPv4, any other address that begins with ::ffff stays. */
export function addressText(expression: string): string {
  return `replaceRegexpOne(toString(${expression}), '^::ffff:(\\\\d+\\\\.\\\\d+\\\\.\\\\d+\\\\.\\\\d+)$', '\\\\1')`
}

function nestedForm(expression: string, column: Column): string {
  const members = Object.entries(column.members ?? {})
  if (!members.some(([, { query }]) => query === 'ip')) return expression
  const values = members.map(([name, { query }]) => (query === 'ip' ? addressText(`t.${name}`) : `t.${name}`))
  const types = members.map(([name, { query, clickhouse }]) => `${name} ${query === 'ip' ? 'String' : clickhouse}`)
  return `CAST(arrayMap(t -> (${values.join(', ')}), ${expression}), 'Array(Tuple(${types.join(', ')}))')`
}
