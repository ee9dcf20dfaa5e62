import { once } from 'node:events'

/** How a part is. */
export interface Health {
  readonly state: 'ok' | 'degraded' | 'down'
  /** What is wrong and what to do, in a sentence; of an ok part, at most what is worth knowing. */
  readonly reason?: string
}

/** A part of a service: inert once created, alive between start and stop. */
export interface Component {
  readonly name: string
  start?(): Promise<void>
  stop?(): Promise<void>
  health?(): Health
}

/**
 * Starts components in order; once told to end, or when one fails to start, stops them in reverse.
 * Throws an AggregateError that holds every failure.
 */
export async function run(components: readonly Component[], end: AbortSignal): Promise<void> {
  const failures: unknown[] = []
  const started: Component[] = []
  try {
    for (const component of components) {
      if (end.aborted) break
      started.unshift(component) // before start: a half-started part is stopped too
      await component.start?.()
    }
    if (!end.aborted) await once(end, 'abort')
    if (end.reason instanceof Error && end.reason.name !== 'AbortError') failures.push(end.reason)
  } catch (error) {
    failures.push(error)
  }
  for (const component of started) {
    try {
      await component.stop?.()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, failures.map((f) => (f instanceof Error ? f.message : String(f))).join('; '))
}
