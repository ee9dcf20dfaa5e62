import { hostname } from 'node:os'
import { type StatusEvent, status, version } from '@margay/schemas'
import { encodeBlocks } from './blocks.ts'
import type { Component } from './component.ts'
import type { EventLog } from './event-log.ts'
import type { Reporter } from './reporter.ts'

/** Members of a status event that only some services know (agents: revision, endpoints, policies). */
export type StatusFacts = Partial<Pick<StatusEvent, 'revision' | 'endpoints' | 'policies' | 'simulated'>>

/** Tells the event log every `intervalMs` how the service is. A log that does not answer is no reason to fail. */
export function createHeartbeat(
  config: { readonly intervalMs: number; readonly cluster: string; readonly host?: string },
  deps: { readonly reporter: Reporter; readonly log: EventLog; readonly facts?: () => StatusFacts },
): Component {
  const { reporter, log } = deps
  const started = Date.now()
  const host = config.host ?? hostname()
  let timer: NodeJS.Timeout | undefined
  let busy = false
  const missed = reporter.counter('heartbeats_missed_total', 'status events that the log did not take')
  async function beat(): Promise<void> {
    if (busy) return
    busy = true
    const health = reporter.health()
    const event: StatusEvent = {
      cluster: config.cluster,
      host,
      time: Date.now(),
      service: reporter.service,
      state: health.state,
      reason: health.reason ?? '',
      version,
      started,
      details: health.components,
      ...deps.facts?.(),
    }
    try {
      await log.append(
        encodeBlocks(status, [event], { cluster: config.cluster, producer: `${reporter.service}/${host}` }),
      )
    } catch {
      missed.inc()
    } finally {
      busy = false
    }
  }
  return {
    name: 'heartbeat',
    async start() {
      void beat()
      timer = setInterval(() => void beat(), config.intervalMs)
    },
    async stop() {
      clearInterval(timer)
    },
  }
}
