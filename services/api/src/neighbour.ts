import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'

/** A question to another service over its socket in the run folder. */
export interface Question {
  readonly service: string
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly body?: unknown
  readonly timeoutMs?: number
}

/** Asks other services of this machine. */
export type Ask = (question: Question) => Promise<unknown>

const longestAnswer = 64 * 1024 * 1024

/**
 * Makes a client of the services' own servers (`<run folder>/<service>.sock`). An answer of JSON is parsed.
 * It throws SERVICE_UNAVAILABLE when nobody answers in time, and passes problem documents on with their own code.
 */
export function createAsk(runDir: string): Ask {
  return async ({ service, path, method = 'GET', body, timeoutMs = 2_000 }) => {
    const { status, text } = await exchange(join(runDir, `${service}.sock`), { path, method, body, timeoutMs }).catch(
      (error: unknown) => {
        throw new MargayError(
          'SERVICE_UNAVAILABLE',
          `the service ${service} does not answer (${messageOf(error)}): see margay status`,
          { status: 503 },
        )
      },
    )
    const answer = parsed(text)
    if (status < 400) return answer
    const problem = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>
    const detail = problem.detail ?? problem.message ?? `it answered ${status}`
    throw new MargayError(
      typeof problem.code === 'string' ? problem.code : 'SERVICE_UNAVAILABLE',
      `${service}: ${String(detail)}`,
      { status: status >= 500 ? 503 : status },
    )
  }
}

function exchange(
  socketPath: string,
  { path, method, body, timeoutMs }: Required<Omit<Question, 'service'>>,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const headers = {
      host: 'localhost',
      'x-margay-user': 'system:api',
      ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length }),
    }
    const signal = AbortSignal.timeout(timeoutMs)
    const sent = request({ socketPath, path, method, headers, signal }, (response) => {
      collect(response).then((text) => resolve({ status: response.statusCode ?? 500, text }), reject)
    })
    sent.on('error', reject)
    sent.end(payload)
  })
}

async function collect(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > longestAnswer) throw new Error('its answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
