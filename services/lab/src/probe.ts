import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MargayError } from '@margay/kit/errors'
import type { EventLog } from '@margay/kit/event-log'
import { askSocket } from '@margay/kit/socket'
import type { FlowEvent } from '@margay/schemas'
import { openFlowSearch } from './flow-search.ts'
import type { Lab } from './lab.ts'
import { arrivals, parseDestination, requireSource } from './target.ts'

/** One connection to try. */
export interface ProbeRequest {
  /** `ns/pod`, `ns/workload`, or `internet/ip`. */
  readonly source: string
  /** `ns/pod:port`, `ns/service:port`, `host:port`, `ip:port` or `[ip6]:port`. */
  readonly destination: string
  readonly protocol?: string | undefined
  /** How long to wait for the flow record; 3000 when absent, 0 for not at all. */
  readonly waitFlowMs?: number | undefined
}

/** What became of it. */
export interface ProbeResult {
  readonly source: string
  readonly destination: string
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** What the network did with one fresh connection. */
  readonly verdict: 'allow' | 'deny'
  readonly latencyMs: number
  readonly error?: string
  /** The record that decided; null when none appeared in time. */
  readonly flow: FlowEvent | null
}

/** Makes the agents (or the simulation) write what they have seen. */
export type Flush = () => Promise<void>

const connectTimeoutMs = 1000
/** Kernel and agent need this long at least to tell of a connection. */
const pauseMs = 100

/** Opens one fresh connection from a pod or from outside and finds the flow record that decided it. Throws LAB_POD_UNKNOWN, LAB_REQUEST_INVALID. */
export async function probe(
  asked: ProbeRequest,
  deps: { readonly lab: Lab; readonly log: EventLog | null; readonly flush: Flush; readonly now: () => number },
): Promise<ProbeResult> {
  const { lab, log, flush, now } = deps
  const protocol = (asked.protocol ?? 'tcp').toLowerCase()
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new MargayError('LAB_REQUEST_INVALID', `${protocol} cannot be probed: use tcp or udp`, { status: 400 })
  const source = requireSource(lab.plan, asked.source)
  const destination = parseDestination(lab.plan, asked.destination)
  const waitMs = Math.min(60_000, Math.max(0, asked.waitFlowMs ?? 3000))
  const startedAt = now()
  const search = log === null || waitMs === 0 ? null : await openFlowSearch(log, startedAt)
  try {
    // A new interval begins, so that the record tells of this connection and not of earlier ones.
    if (search !== null) await flush()
    const contact = await lab.network.connect(source, {
      scheme: protocol,
      host: destination.host,
      port: destination.port,
      timeoutMs: connectTimeoutMs,
    })
    let flow: FlowEvent | null = null
    if (search !== null && contact.address !== null) {
      const at = arrivals(lab.plan, contact.address, destination.port)
      const destinations = lab.plan.pods.filter((pod) => at.some(({ ip }) => ip === pod.ip || ip === pod.ip6))
      const sought = {
        source: isIPv6(contact.address) ? { ...source, ip: source.pod?.ip6 ?? source.ip } : source,
        protocol,
        sourcePort: contact.sourcePort,
        arrivals: at,
        destinations,
        ok: contact.ok,
      } as const
      const end = now() + waitMs
      do {
        await sleep(pauseMs)
        await flush()
        await sleep(pauseMs)
        const found = search.best(sought)
        flow = found?.flow ?? null
        if (found?.isFinal) break
      } while (now() < end)
    }
    return {
      source: asked.source,
      destination: destination.shown,
      protocol,
      port: destination.port,
      verdict: contact.ok ? 'allow' : 'deny',
      latencyMs: Math.round(contact.latencyMs * 100) / 100,
      ...(contact.error === null ? {} : { error: contact.error }),
      flow,
    }
  } finally {
    await search?.close()
  }
}

/** Asks the agent of each node, on its socket in the run folder, to write its logs now. Agents that do not run are passed over. */
export function createAgentFlush(runDir: string, nodes: () => readonly string[]): Flush {
  const ask = (node: string) =>
    askSocket(join(runDir, `agent-${node}.sock`), { method: 'POST', path: '/flush', timeoutMs: 2000 }).catch(() => {})
  return async () => {
    await Promise.all(nodes().map(ask))
  }
}
