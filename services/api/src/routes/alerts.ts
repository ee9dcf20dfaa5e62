import { definitionOf, type EventDefinition, parseQuery, type Query } from '@margay/schemas'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { deadline } from '../deadline.ts'
import { actorOf } from './actor.ts'
import { readPage } from './events.ts'
import { createPermission } from './permission.ts'
import { problems } from './shapes.ts'

const recent = {
  q: Type.Optional(Type.String({ maxLength: 16_384 })),
  from: Type.Optional(Type.String({ description: 'RFC 3339 or now-7d; the last week when absent' })),
  to: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer({ minimum: 1 })),
  cursor: Type.Optional(Type.String()),
}
const Events = Type.Array(Type.Object({}, { additionalProperties: true }))
const Next = Type.Union([Type.String(), Type.Null()])

/** What alerts raised, how each alert is, and the messages that were sent about it. */
export function addAlertRoutes(server: Server, context: ApiContext): void {
  const { config, store, ask } = context
  const permission = createPermission(context)
  const patience = config.api.queryMaxSeconds * 1000

  server.route({
    method: 'GET',
    url: '/v1/alerts',
    schema: {
      operationId: 'listAlerts',
      tags: ['alerts'],
      summary: 'List recent events of alerts, newest first, and the state of every alert',
      querystring: Type.Object(
        {
          ...recent,
          excepted: Type.Optional(Type.Boolean({ description: 'show what AlertExceptions hide, too' })),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({
          events: Events,
          next: Next,
          alerts: Type.Array(
            Type.Object({
              name: Type.String(),
              severity: Type.Union([Type.Integer(), Type.Null()]),
              description: Type.String(),
              status: Type.Union([Type.Object({}, { additionalProperties: true }), Type.Null()], {
                description: 'GlobalAlert status; null when the alerts service does not tell',
              }),
            }),
          ),
        }),
        ...problems(400, 403, 503, 504),
      },
    },
    async handler(request, reply) {
      const { excepted = false, ...parameters } = request.query
      await permission.toReadLogs(request, ['events'])
      const plural = 'globalalerts.projectcalico.org'
      const wanted = { plural, namespace: null, tier: null }
      const { decision, shows } = context.guard.list(store, actorOf(request, context.now()), wanted)
      const [page, statuses] = await Promise.all([
        readPage(context, definition('events'), {
          parameters: { from: 'now-7d', ...parameters },
          signal: deadline(reply, patience),
          hidden: excepted ? [] : exceptionsAt(store, context.now()),
        }),
        alertStatuses(ask),
      ])
      // Who may see events and no alerts is shown the events.
      const visible = decision.allowed ? store.list(plural).filter(shows) : []
      const alerts = visible.map(({ metadata, spec }) => {
        const { severity = null, description = '' } = (spec ?? {}) as { severity?: number; description?: string }
        return { name: metadata.name, severity, description, status: statuses.get(metadata.name) ?? null }
      })
      return { events: page.events, next: page.next, alerts }
    },
  })

  server.route({
    method: 'GET',
    url: '/v1/inbox',
    schema: {
      operationId: 'listInbox',
      tags: ['alerts'],
      summary: 'List recent messages about alerts, newest first, with the outcome of their delivery',
      querystring: Type.Object(recent, { additionalProperties: false }),
      response: { 200: Type.Object({ messages: Events, next: Next }), ...problems(400, 403, 503, 504) },
    },
    async handler(request, reply) {
      await permission.toReadLogs(request, ['notifications'])
      const { events, next } = await readPage(context, definition('notifications'), {
        parameters: { from: 'now-7d', ...request.query },
        signal: deadline(reply, patience),
      })
      return { messages: events, next }
    },
  })
}

/** What the AlertExceptions in force hide (spec 1.11). */
function exceptionsAt(store: ApiContext['store'], now: number): Query[] {
  return store.list('alertexceptions.projectcalico.org').flatMap(({ spec }) => {
    const { selector, startTime, endTime } = spec as { selector: string; startTime: string; endTime?: string }
    if (Date.parse(startTime) > now || (endTime !== undefined && Date.parse(endTime) <= now)) return []
    try {
      return [parseQuery(selector, definition('events'))]
    } catch {
      // Written before the API checked selectors: better to show an event too many.
      return []
    }
  })
}

const definition = (dataSet: string) => definitionOf(dataSet) as EventDefinition

/** Status of each alert, from the service that runs them; none when it does not answer: the events are there anyway. */
async function alertStatuses(ask: ApiContext['ask']): Promise<ReadonlyMap<string, Record<string, unknown>>> {
  try {
    const { alerts } = (await ask({ service: 'alerts', path: '/alerts' })) as {
      alerts: { name: string; status: Record<string, unknown> }[]
    }
    return new Map(alerts.map(({ name, status }) => [name, status]))
  } catch {
    return new Map()
  }
}
