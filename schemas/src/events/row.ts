import type { Column } from './column.ts'
import type { EventDefinition } from './event.ts'

/** What to do with one column when an event becomes a row and back. */
interface Place {
  readonly name: string
  readonly path: readonly string[]
  readonly column: Column
  readonly optional: boolean
}

const plans = new WeakMap<EventDefinition, readonly Place[]>()

/**
 * The row to insert for an event, in the form that `FORMAT JSONEachRow` takes: one member for each column that the
 * event has. It is the event itself unless its JSON form is nested (audit).
 */
export function rowOf(definition: EventDefinition, event: object): Record<string, unknown> {
  const places = placesOf(definition)
  if (places.every(({ path }) => path.length === 1)) return event as Record<string, unknown>
  const row: Record<string, unknown> = {}
  for (const { name, path } of places) {
    const value = valueAt(event, path)
    if (value !== undefined) row[name] = value
  }
  return row
}

/**
 * The JSON form of an event from a row that `selectList` gave: nested again, JSON text parsed, optional members that
 * hold nothing left out. Times stay as they were selected.
 */
export function eventOfRow(
  definition: EventDefinition,
  row: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const event: Record<string, unknown> = {}
  for (const { name, path, column, optional } of placesOf(definition)) {
    let value = row[name]
    if (value === undefined || (optional && holdsNothing(value, column))) continue
    if (column.query === 'json') value = value === '' ? {} : JSON.parse(value as string)
    let target = event
    for (const step of path.slice(0, -1)) {
      target[step] ??= {}
      target = target[step] as Record<string, unknown>
    }
    target[path.at(-1) as string] = value
  }
  return event
}

/** The value at a path, undefined when an object on the way is missing. */
export function valueAt(event: object, path: readonly string[]): unknown {
  let value: unknown = event
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

function placesOf(definition: EventDefinition): readonly Place[] {
  let places = plans.get(definition)
  if (!places) {
    places = Object.entries(definition.columns).map(([name, column]) => ({
      name,
      path: (column.path ?? name).split('.'),
      column,
      optional: '~optional' in column.schema,
    }))
    plans.set(definition, places)
  }
  return places
}

/** A column without a value holds its type's default; a plain counter that is 0 may have been counted, so it stays. */
function holdsNothing(value: unknown, column: Column): boolean {
  if (value === null || value === '') return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value === 'object') return Object.keys(value).length === 0
  if (column.query === 'date') return value === 0 || value === '0' || value === '1970-01-01T00:00:00.000Z'
  return value === 0 && column.path !== undefined
}
