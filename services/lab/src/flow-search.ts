import { linesOf } from '@margay/kit/blocks'
import type { EventLog } from '@margay/kit/event-log'
import { type FlowEvent, flow, topicOf } from '@margay/schemas'
import type { LabPod } from './manifests/plan.ts'
import type { Source } from './target.ts'

/** The connection whose flow record is looked for. */
export interface Sought {
  readonly source: Pick<Source, 'ip' | 'pod'>
  readonly protocol: 'tcp' | 'udp'
  readonly sourcePort: number | null
  /** Where it may have arrived, after translation. */
  readonly arrivals: readonly { readonly ip: string; readonly port: number }[]
  /** The pods at those addresses. */
  readonly destinations: readonly LabPod[]
  readonly ok: boolean
}

/** Follows the flow topic from a moment on and tells which record decided a connection. */
export interface FlowSearch {
  /** The best record so far; null when there is none. `isFinal` when no better one can come. */
  best(sought: Sought): { flow: FlowEvent; isFinal: boolean } | null
  close(): Promise<void>
}

/** Begins to follow the flow records that are written from now on. */
export async function openFlowSearch(log: EventLog, startedAt: number): Promise<FlowSearch> {
  const events: FlowEvent[] = []
  const tail = await log.tail({
    topics: [topicOf(flow)],
    from: { time: startedAt },
    handle(batch) {
      for (const record of batch.records) for (const line of linesOf(record)) events.push(JSON.parse(line) as FlowEvent)
    },
  })
  return {
    best: (sought) => bestOf(events, sought, startedAt),
    close: () => tail.close(),
  }
}

/**
 * The record that decided: one whose action is what the connection met, from an interval that began with the probe if
 * there is one; of those the destination's word counts before the source's.
 */
export function bestOf(
  events: readonly FlowEvent[],
  sought: Sought,
  startedAt: number,
): { flow: FlowEvent; isFinal: boolean } | null {
  const action = sought.ok ? 'allow' : 'deny'
  let best: { flow: FlowEvent; score: number } | null = null
  for (const event of events) {
    if (event.end_time < startedAt || !isOf(event, sought)) continue
    const score =
      (event.action === action ? 4 : 0) + (event.start_time >= startedAt ? 2 : 0) + (event.reporter === 'dst' ? 1 : 0)
    // Of equal ones the later: it saw the policy that the probe met.
    if (best === null || score >= best.score) best = { flow: event, score }
  }
  if (best === null) return null
  // A denial has one record that says so; a connection into a pod is complete with the destination's record.
  const isComplete = best.flow.action === 'deny' || best.flow.reporter === 'dst' || sought.destinations.length === 0
  return { flow: best.flow, isFinal: best.flow.action === action && best.score >= 6 && isComplete }
}

function isOf(event: FlowEvent, sought: Sought): boolean {
  const { source } = sought
  if (event.proto !== sought.protocol) return false
  if (event.source_port != null && event.source_port !== sought.sourcePort) return false
  const isSource =
    event.source_ip != null
      ? event.source_ip === source.ip
      : source.pod === null
        ? event.source_type === 'net' || event.source_type === 'ns'
        : event.source_namespace === source.pod.namespace && event.source_name_aggr === nameAggr(source.pod)
  if (!isSource) return false
  if (event.dest_ip != null) return sought.arrivals.some(({ ip, port }) => ip === event.dest_ip && isPort(port, event))
  if (!sought.arrivals.some(({ port }) => isPort(port, event))) return false
  // Aggregated away: a pod is known by its prefix, anything else only by not being a pod.
  return sought.destinations.length === 0
    ? event.dest_type !== 'wep'
    : sought.destinations.some(
        (pod) => event.dest_namespace === pod.namespace && event.dest_name_aggr === nameAggr(pod),
      )
}

const isPort = (port: number, event: FlowEvent) => event.dest_port == null || event.dest_port === port
const nameAggr = (pod: LabPod) => (pod.generateName === null ? pod.name : `${pod.generateName}*`)
