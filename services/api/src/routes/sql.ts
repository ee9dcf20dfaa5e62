import { MargayError } from '@margay/kit/errors'
import { loggedDataSets } from '@margay/schemas'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { deadline } from '../deadline.ts'
import { select } from '../select.ts'
import { requireReadOnly } from '../sql-gate.ts'
import { createPermission } from './permission.ts'
import { problems } from './shapes.ts'

/** SQL of people: read only, with limits on rows, time and memory. */
export function addSqlRoutes(server: Server, context: ApiContext): void {
  const { clickhouse, config } = context
  const permission = createPermission(context)
  const { queryMaxRows, queryMaxSeconds } = config.api
  server.route({
    method: 'POST',
    url: '/v1/sql',
    schema: {
      operationId: 'runSql',
      tags: ['sql'],
      summary: 'Run one read-only SQL statement over the tables of the product',
      body: Type.Object({ query: Type.String({ maxLength: 65_536 }) }, { additionalProperties: false }),
      response: {
        200: Type.Object({
          columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
          rows: Type.Array(Type.Object({}, { additionalProperties: true })),
          stats: Type.Ref('Stats'),
        }),
        ...problems(400, 403, 503, 504),
      },
    },
    async handler(request, reply) {
      // A statement can read every table.
      await permission.toReadLogs(request, loggedDataSets)
      const query = requireReadOnly(request.body.query)
      const { columns, rows, stats } = await select(clickhouse, query, {
        // A little more time than the server gives itself, so that its own message comes first.
        signal: deadline(reply, (queryMaxSeconds + 2) * 1000),
        settings: {
          readonly: 1,
          max_execution_time: queryMaxSeconds,
          max_result_rows: queryMaxRows,
          result_overflow_mode: 'throw',
        },
      }).catch((error: unknown) => {
        throw error instanceof MargayError ? explained(error, queryMaxRows) : error
      })
      return { columns: [...columns], rows: [...rows], stats }
    },
  })
}

/** ClickHouse's number for an answer beyond max_result_rows. */
const tooManyRows = 396

/** Adds what to do to the one error that people meet daily. */
function explained(error: MargayError, maxRows: number): MargayError {
  const { code } = (error.details.clickhouse ?? {}) as { code?: number }
  if (code !== tooManyRows) return error
  return new MargayError(error.code, `the answer has more than ${maxRows} rows: add LIMIT ${maxRows} or aggregate`, {
    status: error.status,
    cause: error,
    details: { ...error.details },
  })
}
