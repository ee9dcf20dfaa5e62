import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'
import { askSocket, type SocketQuestion } from '@margay/kit/socket'

/** A question to another service over its socket in the run folder. */
export interface Question extends Omit<SocketQuestion, 'user'> {
  readonly service: string
  readonly method?: 'GET' | 'POST'
}

/** Asks other services of this machine. */
export type Ask = (question: Question) => Promise<unknown>

/**
 * Makes a client of the services' own servers (`<run folder>/<service>.sock`). An answer of JSON is parsed.
 * It throws SERVICE_UNAVAILABLE when nobody answers in time (two seconds when no limit is given), and passes problem documents
 * on with their own code.
 */
export function createAsk(runDir: string): Ask {
  return async ({ service, ...question }) => {
    const { status, text, json } = await askSocket(join(runDir, `${service}.sock`), {
      timeoutMs: 2_000,
      ...question,
      user: 'system:api',
    }).catch((error: unknown) => {
      throw new MargayError(
        'SERVICE_UNAVAILABLE',
        `the service ${service} does not answer (${messageOf(error)}): see margay status`,
        { status: 503 },
      )
    })
    if (status < 400) return json === undefined ? text : json
    const problem = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>
    const detail = problem.detail ?? problem.message ?? `it answered ${status}`
    throw new MargayError(
      typeof problem.code === 'string' ? problem.code : 'SERVICE_UNAVAILABLE',
      `${service}: ${String(detail)}`,
      { status: status >= 500 ? 503 : status },
    )
  }
}
