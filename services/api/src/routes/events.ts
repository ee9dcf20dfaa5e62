import { type EventDefinition, eventOfRow, type Query } from '@margay/schemas'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { deadline } from '../deadline.ts'
import { formatCursor } from '../events/cursor.ts'
import { inlineParams } from '../events/literal.ts'
import type { Live } from '../events/live.ts'
import { cursorOfRow, pageCondition, pageStatement } from '../events/page.ts'
import { dataSetOf, type PageParameters, pageRequestOf, queryOf } from '../events/request.ts'
import { select } from '../select.ts'
import { createPermission } from './permission.ts'
import { problems } from './shapes.ts'

const PageQuery = Type.Object(
  {
    q: Type.Optional(Type.String({ maxLength: 16_384, description: 'query over the fields of the data set' })),
    from: Type.Optional(Type.String({ description: 'RFC 3339 or now-15m; the last 24 hours when absent' })),
    to: Type.Optional(Type.String({ description: 'RFC 3339 or now; exclusive' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, description: '100 when absent; api.queryMaxRows at most' })),
    order: Type.Optional(
      Type.Union([Type.Literal('asc'), Type.Literal('desc')], { description: 'by time; desc when absent' }),
    ),
    cursor: Type.Optional(Type.String({ description: '`next` of the page before' })),
  },
  { additionalProperties: false },
)

/** Reads one page of a data set. */
export async function readPage(
  { clickhouse, config, now }: Pick<ApiContext, 'clickhouse' | 'config' | 'now'>,
  definition: EventDefinition,
  {
    parameters,
    signal,
    hidden = [],
  }: { readonly parameters: PageParameters; readonly signal: AbortSignal; readonly hidden?: readonly Query[] },
) {
  const request = pageRequestOf(parameters, definition, { now: now(), maxRows: config.api.queryMaxRows, hidden })
  const { sql, params } = pageStatement(definition, request)
  const { rows, stats } = await select(clickhouse, sql, {
    params,
    signal,
    settings: { max_execution_time: config.api.queryMaxSeconds },
  })
  const shown = rows.slice(0, request.limit)
  const last = shown.at(-1)
  const display = pageCondition(definition, request)
  return {
    events: shown.map((row) => eventOfRow(definition, row)),
    next: rows.length > request.limit && last !== undefined ? formatCursor(cursorOfRow(definition, last)) : null,
    from: new Date(request.from).toISOString(),
    to: new Date(request.to).toISOString(),
    sql: inlineParams(display.sql, display.params),
    stats,
  }
}

/** Events of any data set: pages from ClickHouse, or the live tail from the event log. */
export function addEventRoutes(server: Server, context: ApiContext, { live }: { readonly live: Live }): void {
  const permission = createPermission(context)
  const routes = [
    { url: '/v1/events/:dataSet', operationId: 'listEvents', params: Type.Object({ dataSet: Type.String() }) },
    { url: '/v1/flows', operationId: 'listFlows', params: Type.Object({}) },
  ] as const
  for (const { url, operationId, params } of routes) {
    server.route({
      method: 'GET',
      url,
      schema: {
        operationId,
        tags: ['events'],
        summary: 'Read events; with Accept: text/event-stream, follow new ones',
        description:
          'A live answer sends each event as `data:` with its JSON. An event named `dropped` tells how many a client missed that reads too slowly.',
        params,
        querystring: PageQuery,
        response: { 200: Type.Ref('EventPage'), ...problems(400, 403, 404, 429, 503, 504) },
      },
      async handler(request, reply) {
        const { dataSet = 'flows' } = request.params as { dataSet?: string }
        const definition = dataSetOf(dataSet)
        await permission.toReadLogs(request, [definition.dataSet])
        if ((request.headers.accept ?? '').includes('text/event-stream')) {
          const stream = await live.open(definition, queryOf(request.query.q, definition))
          reply.raw.once('close', () => stream.destroy())
          return reply
            .headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
            .send(stream as never)
        }
        return readPage(context, definition, {
          parameters: request.query,
          signal: deadline(reply, context.config.api.queryMaxSeconds * 1000),
        })
      },
    })
  }
}
