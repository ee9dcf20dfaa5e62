import { userInfo } from 'node:os'
import type { Config } from '@margay/kit/config'
import { readSecret } from '@margay/kit/config'
import { MargayError, messageOf } from '@margay/kit/errors'
import { askSocket } from '@margay/kit/socket'

/** Calls the API as the user of this shell. */
export interface Client {
  readonly url: string
  /** JSON of the answer. Throws the problem that the server names, or API_UNREACHABLE. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>
  /** The answer as it is, for downloads and streams. */
  open(
    method: string,
    path: string,
    init?: { body?: unknown; accept?: string; signal?: AbortSignal },
  ): Promise<Response>
}

/** A problem document (RFC 9457) as the API sends it. */
interface ProblemDocument {
  code?: string
  title?: string
  detail?: string
  [member: string]: unknown
}

/**
 * Makes a client for `MARGAY_SERVER`, or for the address in the configuration. It asks as the user of the shell, or as `MARGAY_USER`, who is
 * in the groups `MARGAY_GROUPS` (with commas between).
 */
export function createClient(config: Config, environment: NodeJS.ProcessEnv): Client {
  const host = config.api.host.includes(':') ? `[${config.api.host}]` : config.api.host
  const url = (environment.MARGAY_SERVER ?? `http://${host}:${config.api.port}`).replace(/\/$/, '')
  const headers: Record<string, string> = { 'x-margay-user': environment.MARGAY_USER ?? userInfo().username }
  if (environment.MARGAY_GROUPS !== undefined) headers['x-margay-groups'] = environment.MARGAY_GROUPS
  if (config.api.tokenFile !== undefined) headers.authorization = `Bearer ${readSecret(config.api.tokenFile)}`

  async function open(
    method: string,
    path: string,
    init: { body?: unknown; accept?: string; signal?: AbortSignal } = {},
  ) {
    const text = typeof init.body === 'string'
    const body = init.body === undefined ? {} : { body: text ? (init.body as string) : JSON.stringify(init.body) }
    let response: Response
    try {
      response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...headers,
          accept: init.accept ?? 'application/json',
          ...(init.body === undefined ? {} : { 'content-type': text ? 'application/yaml' : 'application/json' }),
        },
        ...body,
        ...(init.signal === undefined ? {} : { signal: init.signal }),
      })
    } catch (cause) {
      if (init.signal?.aborted) throw cause
      throw new MargayError(
        'API_UNREACHABLE',
        `no answer from ${url}: is it running? Start it with \`npm start\`, or name it with MARGAY_SERVER`,
        { cause },
      )
    }
    if (!response.ok) throw await problemOf(response)
    return response
  }
  return {
    url,
    open,
    call: async <T>(method: string, path: string, body?: unknown) =>
      (await (await open(method, path, { body })).json()) as T,
  }
}

async function problemOf(response: Response): Promise<MargayError> {
  const text = await response.text()
  let document: ProblemDocument = {}
  try {
    document = JSON.parse(text) as ProblemDocument
  } catch {
    // not a problem document: a proxy in between, say
  }
  return new MargayError(
    document.code ?? 'API_REFUSED',
    document.detail ?? document.title ?? `${response.status} ${response.statusText}: ${text.slice(0, 200)}`,
    {
      status: response.status,
      details: document,
    },
  )
}

/** Calls the lab on its unix socket. Throws LAB_UNREACHABLE, the problem that it names, or LAB_REFUSED when it names none. */
export async function callSocket<T>(socketPath: string, method: string, path: string, body?: unknown): Promise<T> {
  const { status, text, json } = await askSocket(socketPath, { method, path, body }).catch((cause: unknown) => {
    throw new MargayError(
      'LAB_UNREACHABLE',
      `no lab answers on ${socketPath} (${messageOf(cause)}): start it with \`npm start\`, with the same MARGAY_HOME and user`,
      { cause },
    )
  })
  if (json === undefined)
    throw new MargayError('LAB_REFUSED', `the lab answered what is not JSON: ${text.slice(0, 200)}`)
  if (status < 400) return json as T
  const problem = json as ProblemDocument
  throw new MargayError(
    problem.code ?? 'LAB_REFUSED',
    problem.detail ?? (problem.message as string | undefined) ?? text,
    { status },
  )
}
