import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Failure } from './failure.ts'

/** What a request asks for beside its statement. */
export interface RequestOptions {
  /** Text of the `query` parameter, which the body follows. */
  readonly query: string
  readonly queryId: string | null
  readonly database: string | null
  readonly defaultFormat: string | null
  readonly params: readonly (readonly [string, string])[]
  readonly settings: readonly (readonly [string, string])[]
  readonly readonly: 0 | 1 | 2
  readonly compress: boolean
}

/** Parameters that steer ClickHouse's own HTTP server, not the statement. */
const ofTheServer =
  /^(http_.*|wait_end_of_query|buffer_size|send_progress_in_http_headers|add_http_cors_header|enable_http_compression|client_protocol_version|user|password|role|query_id|query|database|default_format|readonly|log_comment|cancel_http_readonly_queries_on_client_close|output_format_native_.*_protocol)$/

/** Reads the parameters and headers of a request. Throws a Failure for what the engine cannot do. */
export function readOptions(request: Pick<IncomingMessage, 'url' | 'headers' | 'method'>): RequestOptions {
  const search = new URL(request.url ?? '/', 'http://engine').searchParams
  const params: [string, string][] = []
  const settings: [string, string][] = []
  for (const [name, value] of search) {
    if (name.startsWith('param_')) params.push([checked(name.slice('param_'.length)), value])
    else if (name === 'session_id')
      throw new Failure(48, 'NOT_IMPLEMENTED', 'sessions are not kept: send settings and parameters with each request')
    else if (name === 'compress' || name === 'decompress') {
      if (value !== '0') throw new Failure(48, 'NOT_IMPLEMENTED', `${name} is not supported: use Content-Encoding`)
    } else if (!ofTheServer.test(name)) settings.push([checked(name), value])
  }
  const header = (name: string) => {
    const value = request.headers[name]
    return typeof value === 'string' && value !== '' ? value : null
  }
  // As in ClickHouse, GET never writes.
  const readonly = search.get('readonly') ?? (request.method === 'POST' ? '0' : '2')
  if (!['0', '1', '2'].includes(readonly)) throw new Failure(72, 'CANNOT_PARSE_NUMBER', `readonly is 0, 1 or 2`)
  return {
    query: search.get('query') ?? '',
    queryId: search.get('query_id') || header('x-clickhouse-query-id'),
    database: search.get('database') || header('x-clickhouse-database'),
    defaultFormat: search.get('default_format') || header('x-clickhouse-format'),
    params,
    settings,
    readonly: Number(readonly) as 0 | 1 | 2,
    compress: search.get('enable_http_compression') === '1' && /\bgzip\b/.test(header('accept-encoding') ?? ''),
  }
}

function checked(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name))
    throw new Failure(115, 'UNKNOWN_SETTING', `${JSON.stringify(name)} is no name of a setting or parameter`)
  return name
}

/** Whether the request knows the password: basic authorization, ClickHouse's own headers, or parameters. */
export function isAuthorized(request: Pick<IncomingMessage, 'url' | 'headers'>, password: string): boolean {
  const { headers } = request
  let given = headers['x-clickhouse-key']
  const basic = /^Basic (.+)$/i.exec(headers.authorization ?? '')
  if (basic)
    given = Buffer.from(basic[1] as string, 'base64')
      .toString()
      .replace(/^[^:]*:/, '')
  given ??= new URL(request.url ?? '/', 'http://engine').searchParams.get('password') ?? undefined
  if (typeof given !== 'string') return password === ''
  const [a, b] = [Buffer.from(given), Buffer.from(password)]
  return a.length === b.length && timingSafeEqual(a, b)
}
