import { choice, counter, type EventOf, json, keyword, optional, text, time } from './column.ts'
import { common, defineEvent } from './event.ts'

/** A service's heartbeat. For an agent it also says which revision of policy its kernel runs: the base of "enforced". */
export const status = defineEvent({
  kind: 'status',
  version: 1,
  table: 'status',
  dataSet: 'status',
  timeColumn: 'time',
  retentionDays: 91,
  orderBy: ['cluster', 'service', 'host', 'time'],
  doc: 'heartbeats of the services, with health and the revision of policy that is programmed',
  columns: {
    ...common,
    time: time('when the service looked at itself'),
    service: keyword('agent, store, alerts, compliance, api, lab or engine'),
    state: choice(['ok', 'degraded', 'down'], 'worst state of its parts'),
    reason: text('what is wrong; empty when ok'),
    version: keyword('version of the service'),
    started: time('when the process started'),
    revision: optional(counter('newest resource version that the kernel runs (agents)')),
    endpoints: optional(counter('endpoints enforced (agents)')),
    policies: optional(counter('policies that select a local endpoint (agents)')),
    details: optional(json('state of each part')),
  },
})

/** A sign of life of a service. */
export type StatusEvent = EventOf<typeof status.columns>
