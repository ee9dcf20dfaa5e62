import { linesOf } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import type { EventLog } from '@margay/kit/event-log'
import { type StatusEvent, status, topicOf } from '@margay/schemas'

/** A service as it last described itself. */
export interface ServiceStatus {
  readonly service: string
  readonly host: string
  /** The service's own state, or `stale` when it has been silent for too long. */
  readonly state: StatusEvent['state'] | 'stale'
  readonly reason: string
  readonly event: StatusEvent
}

/** The newest heartbeat of every service. */
export interface Pulse extends Component {
  services(): ServiceStatus[]
}

/** Heartbeats come every few seconds; three missed ones are no accident. */
const staleAfterMs = 15_000
/** A service that falls silent is shown for this long, then forgotten. */
const forgetAfterMs = 10 * 60_000

/** Services of an earlier run that do not speak any more are not missed: at the start, only so much is read back. */
const lookBackMs = 60_000

/** Follows the status topic. */
export function createPulse(deps: { readonly log: EventLog; readonly now: () => number }): Pulse {
  const newest = new Map<string, StatusEvent>()
  let tail: { close(): Promise<void> } | undefined

  function take(line: string): void {
    let event: StatusEvent
    try {
      event = JSON.parse(line) as StatusEvent
    } catch {
      return
    }
    const key = `${event.service}/${event.host}`
    if ((newest.get(key)?.time ?? 0) <= event.time) newest.set(key, event)
  }

  return {
    name: 'pulse',
    services() {
      const now = deps.now()
      for (const [key, event] of newest) if (now - event.time > forgetAfterMs) newest.delete(key)
      return [...newest.values()]
        .map((event): ServiceStatus => {
          const { service, host, state, reason } = event
          const silent = now - event.time
          if (silent <= staleAfterMs) return { service, host, state, reason, event }
          return { service, host, state: 'stale', reason: `silent for ${Math.round(silent / 1000)} s`, event }
        })
        .sort((a, b) => (`${a.service}/${a.host}` < `${b.service}/${b.host}` ? -1 : 1))
    },
    async start() {
      tail = await deps.log.tail({
        topics: [topicOf(status)],
        from: { time: deps.now() - lookBackMs },
        handle({ records }) {
          for (const record of records) for (const line of linesOf(record)) take(line)
        },
      })
    },
    async stop() {
      await tail?.close()
    },
  }
}
