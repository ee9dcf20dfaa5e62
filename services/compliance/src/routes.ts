import { MargayError, messageOf } from '@margay/kit/errors'
import type { createOperationsServer } from '@margay/kit/http'
import type { Interval } from './intervals.ts'
import type { Scheduler } from './scheduler.ts'

type Server = Parameters<NonNullable<Parameters<typeof createOperationsServer>[1]['routes']>>[0]

/** Adds what the API asks of compliance: `GET /reports` and `POST /reports/:name/run` with `{ start, end }` in RFC 3339. */
export function addRoutes(server: Server, scheduler: Scheduler): void {
  server.get('/reports', () => ({ reports: scheduler.overview() }))
  server.post<{ Params: { name: string }; Body: unknown }>('/reports/:name/run', async (request, reply) => {
    try {
      return await scheduler.run(request.params.name, intervalOf(request.body))
    } catch (error) {
      const problem = problemOf(error)
      return reply.code(problem.status).type('application/problem+json').send(problem)
    }
  })
}

function intervalOf(body: unknown): Interval {
  const { start, end } = (body ?? {}) as { start?: unknown; end?: unknown }
  const interval = { start: Date.parse(String(start)), end: Date.parse(String(end)) }
  if (Number.isNaN(interval.start) || Number.isNaN(interval.end))
    throw new MargayError('REPORT_INTERVAL_INVALID', 'start and end must be times in RFC 3339', { status: 422 })
  return interval
}

function problemOf(error: unknown) {
  const known = error instanceof MargayError ? error : new MargayError('REPORT_FAILED', messageOf(error))
  return { type: 'about:blank', status: known.status, code: known.code, title: known.code, detail: known.message }
}
