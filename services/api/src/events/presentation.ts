import type { EventDefinition } from '@margay/schemas'

/** An event of the log as HTTP answers give it: times as RFC 3339 in UTC, everything else as it is. */
export function presentEvent(definition: EventDefinition, event: object): Record<string, unknown> {
  const shown = { ...(event as Record<string, unknown>) }
  for (const [name, column] of Object.entries(definition.columns)) {
    if (column.query !== 'date') continue
    const path = (column.path ?? name).split('.')
    let holder = shown
    for (const step of path.slice(0, -1)) {
      holder[step] = { ...(holder[step] as object | undefined) }
      holder = holder[step] as Record<string, unknown>
    }
    const last = path.at(-1) as string
    if (typeof holder[last] === 'number') holder[last] = new Date(holder[last]).toISOString()
  }
  return shown
}
