import type { PipelineStatus, ServiceStatus } from '../api.ts'

export interface Stage {
  readonly name: string
  readonly state: 'ok' | 'degraded' | 'down' | 'unknown'
  /** A number or word that says how it goes. */
  readonly detail: string
  /** What is wrong; empty when nothing is. */
  readonly reason: string
}

/** The pipeline as a row of stages, from the agents that see events to the alerts that tell people. */
export function stagesOf(status: PipelineStatus | null): Stage[] {
  if (status === null)
    return ['Agents', 'Event log', 'Store', 'ClickHouse', 'Alerts', 'Reports'].map((name) => ({
      name,
      state: 'unknown',
      detail: '',
      reason: 'the API does not answer',
    }))
  const simulated = status.lab?.mode === 'simulated'
  const agents = status.services.filter((s) => s.service === (simulated ? 'lab' : 'agent'))
  const perMinute = status.flows === null ? '' : `${status.flows.lastMinute} flows/min`
  return [
    {
      ...worst(simulated ? 'Lab (simulated)' : 'Agents', agents),
      detail: agents.length === 0 ? 'none yet' : simulated ? perMinute : `${agents.length} nodes, ${perMinute}`,
    },
    { name: 'Event log', state: stateOf(status.log.state), detail: lag(status.log), reason: status.log.reason ?? '' },
    worst(
      'Store',
      status.services.filter((s) => s.service === 'store'),
    ),
    { name: 'ClickHouse', state: stateOf(status.clickhouse.state), detail: '', reason: status.clickhouse.reason ?? '' },
    worst(
      'Alerts',
      status.services.filter((s) => s.service === 'alerts'),
    ),
    worst(
      'Reports',
      status.services.filter((s) => s.service === 'compliance'),
    ),
  ]
}

function lag(log: PipelineStatus['log']): string {
  if (log.lagSeconds === null) return ''
  return log.lagSeconds < 5 ? 'no lag' : `${Math.round(log.lagSeconds)} s behind`
}

function stateOf(state: string): Stage['state'] {
  return state === 'ok' || state === 'degraded' || state === 'down' ? state : state === 'stale' ? 'down' : 'unknown'
}

function worst(name: string, services: readonly ServiceStatus[]): Stage {
  const rank = { ok: 0, degraded: 1, stale: 2, down: 3 }
  const state = services.reduce<ServiceStatus['state'] | null>(
    (found, s) => (found === null || rank[s.state] > rank[found] ? s.state : found),
    null,
  )
  if (state === null) return { name, state: 'unknown', detail: '', reason: `${name.toLowerCase()}: nothing heard yet` }
  const reason = services
    .filter((s) => s.state !== 'ok')
    .map((s) => `${s.host}: ${s.state === 'stale' ? 'silent for more than 15 s' : s.reason}`)
    .join('; ')
  return { name, state: stateOf(state), detail: '', reason }
}
