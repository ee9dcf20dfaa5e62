import { messageOf } from '@margay/kit/errors'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { deadline } from '../deadline.ts'
import { readLag } from '../lag.ts'
import type { ServiceStatus } from '../pulse.ts'
import { select } from '../select.ts'

const State = Type.Enum(['ok', 'degraded', 'down'])
const Reason = Type.Optional(Type.String({ description: 'what is wrong; absent when ok' }))

/** Longest wait for any one part; the answer tells what did not come. */
const patienceMs = 3_000

/** How the whole pipeline is: every service, the log, ClickHouse, the lab and the traffic of the last minute. */
export function addStatusRoutes(server: Server, context: ApiContext): void {
  const { config, pulse, now } = context
  server.route({
    method: 'GET',
    url: '/v1/status',
    schema: {
      operationId: 'getStatus',
      tags: ['status'],
      summary: 'Tell how the pipeline is',
      response: {
        200: Type.Object({
          cluster: Type.String(),
          time: Type.String({ format: 'date-time' }),
          state: State,
          simulated: Type.Boolean({ description: 'no kernel saw the traffic: the lab judged it' }),
          lab: Type.Union([
            Type.Object({ mode: Type.String(), reason: Reason }, { additionalProperties: true }),
            Type.Null(),
          ]),
          services: Type.Array(
            Type.Object({
              service: Type.String(),
              host: Type.String(),
              state: Type.Enum(['ok', 'degraded', 'down', 'stale']),
              reason: Type.String(),
              version: Type.String(),
              started: Type.String({ format: 'date-time' }),
              lastSeen: Type.String({ format: 'date-time' }),
              revision: Type.Optional(Type.Integer()),
              endpoints: Type.Optional(Type.Integer()),
              policies: Type.Optional(Type.Integer()),
            }),
          ),
          log: Type.Object({
            state: State,
            reason: Reason,
            adapter: Type.String(),
            lagEvents: Type.Union([Type.Integer(), Type.Null()], {
              description: 'events that the store has not written',
            }),
            lagSeconds: Type.Union([Type.Number(), Type.Null()], { description: 'age of the oldest of them' }),
            topics: Type.Array(Type.Object({ topic: Type.String(), events: Type.Integer(), seconds: Type.Number() })),
          }),
          clickhouse: Type.Object({ state: State, reason: Reason }),
          flows: Type.Union([
            Type.Object({ lastMinute: Type.Integer(), deniedLastMinute: Type.Integer() }),
            Type.Null(),
          ]),
        }),
      },
    },
    async handler(_request, reply) {
      const services = pulse.services()
      const [log, clickhouse, lab] = await Promise.all([
        logStatus(context),
        clickhouseStatus(context, deadline(reply, patienceMs)),
        labStatus(context),
      ])
      return {
        cluster: config.cluster,
        time: new Date(now()).toISOString(),
        state: worst([
          log.state,
          clickhouse.state,
          ...services.map(({ state }) => (state === 'stale' ? 'down' : state)),
        ]),
        simulated:
          lab?.mode === 'simulated' ||
          services.some(({ state, event }) => state !== 'stale' && event.simulated === true),
        lab,
        services: services.map(shown),
        log,
        clickhouse: {
          state: clickhouse.state,
          ...(clickhouse.reason === undefined ? {} : { reason: clickhouse.reason }),
        },
        flows: clickhouse.flows,
      }
    },
  })
}

type Grade = 'ok' | 'degraded' | 'down'

/** One part down makes the whole degraded: the rest still works. */
function worst(states: readonly Grade[]): Grade {
  if (states.length > 0 && states.every((state) => state === 'down')) return 'down'
  return states.some((state) => state !== 'ok') ? 'degraded' : 'ok'
}

function shown({ service, host, state, reason, event }: ServiceStatus) {
  const { version, started, time, revision, endpoints, policies } = event
  return {
    service,
    host,
    state,
    reason,
    version,
    started: new Date(started).toISOString(),
    lastSeen: new Date(time).toISOString(),
    ...(revision === undefined ? {} : { revision }),
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(policies === undefined ? {} : { policies }),
  }
}

/** A store this far behind shows people an old picture. */
const lateSeconds = 30

async function logStatus({ log, config, now }: ApiContext) {
  const { adapter } = config.log
  try {
    const topics = await within(readLag(log, now()))
    const lagSeconds = Math.max(0, ...topics.map(({ seconds }) => seconds))
    const lagEvents = topics.reduce((sum, { events }) => sum + events, 0)
    const late = lagSeconds > lateSeconds ? { reason: `the store is ${Math.round(lagSeconds)} s behind the log` } : {}
    const state: Grade = lagSeconds > lateSeconds ? 'degraded' : 'ok'
    return { state, ...late, adapter, lagEvents, lagSeconds, topics }
  } catch (error) {
    const state: Grade = 'down'
    return { state, reason: messageOf(error), adapter, lagEvents: null, lagSeconds: null, topics: [] }
  }
}

async function clickhouseStatus({ clickhouse }: ApiContext, signal: AbortSignal) {
  try {
    const { rows } = await select(
      clickhouse,
      "SELECT count() AS lastMinute, countIf(action = 'deny') AS deniedLastMinute FROM flows WHERE end_time >= now64(3) - INTERVAL 1 MINUTE",
      { signal },
    )
    const { lastMinute = 0, deniedLastMinute = 0 } = rows[0] ?? {}
    const state: Grade = 'ok'
    return { state, flows: { lastMinute: Number(lastMinute), deniedLastMinute: Number(deniedLastMinute) } }
  } catch (error) {
    const code = (error as { code?: string }).code
    // An answer that refuses is an answer: the tables are not there yet.
    const state: Grade = code === 'SQL_FAILED' ? 'degraded' : 'down'
    return { state, reason: messageOf(error), flows: null }
  }
}

async function labStatus({ ask }: ApiContext): Promise<{ mode: string; [member: string]: unknown } | null> {
  try {
    const answer = (await ask({ service: 'lab', path: '/status' })) as {
      mode?: string
      reason?: string
      nodes?: unknown
    }
    const { mode = 'unknown', reason, nodes } = answer
    return { mode, ...(reason === undefined ? {} : { reason }), ...(nodes === undefined ? {} : { nodes }) }
  } catch {
    // No lab is no trouble: it exists only where one was asked for.
    return null
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the event log did not answer within ${patienceMs / 1000} s`)),
      patienceMs,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
