import { request } from 'node:http'

/** A question to a service of this machine on its unix socket (see `createOperationsServer`). */
export interface SocketQuestion {
  readonly path: string
  /** GET when absent. */
  readonly method?: string
  /** Sent as JSON; nothing when absent. */
  readonly body?: unknown
  /** Who asks, for the service's records. */
  readonly user?: string
  /** No limit when absent. */
  readonly timeoutMs?: number
}

/** What came back. */
export interface SocketAnswer {
  readonly status: number
  readonly text: string
  /** The text as JSON; undefined when it is none. */
  readonly json: unknown
}

/** An answer longer than this is a mistake of the other side and must not take our memory. */
const longestAnswer = 64 * 1024 * 1024

/** Asks over HTTP on a unix socket. Rejects when nobody answers in time; an answer of any status resolves. */
export function askSocket(socketPath: string, question: SocketQuestion): Promise<SocketAnswer> {
  const { path, method = 'GET', body, user, timeoutMs } = question
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const headers = {
    host: 'localhost',
    ...(user === undefined ? {} : { 'x-margay-user': user }),
    ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length }),
  }
  const limit = timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) }
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, headers, ...limit }, (response) => {
      collect(response).then(
        (text) => resolve({ status: response.statusCode ?? 500, text, json: parsed(text) }),
        reject,
      )
    })
    sent.on('error', reject)
    sent.end(payload)
  })
}

async function collect(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
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
    return undefined
  }
}
