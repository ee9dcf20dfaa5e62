import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Component } from '@margay/kit/component'
import type { Reporter } from '@margay/kit/reporter'
import { plainBody, readText, spoolTo } from './body.ts'
import { type Answer, type Engine, newId } from './engine.ts'
import { Failure, failureOf, statusOf } from './failure.ts'
import { isAuthorized, type RequestOptions, readOptions } from './request.ts'
import { readStatement } from './statement.ts'

/** Bytes of one statement; data of inserts have no limit, they go to a file. */
const maxStatement = 64 * 2 ** 20
/** A client that takes nothing for so long is given up, so that it does not hold the engine. */
const stallMs = 60_000

/** The HTTP server before the engine. */
export interface Front extends Component {
  /** Port it listens on, once started. */
  readonly port: number
}

/**
 * Speaks ClickHouse's HTTP interface on loopback for the embedded engine: what `@clickhouse/client` and curl need.
 * Data of inserts are written to a file first and read from there, so that no byte of them is ever taken for SQL.
 */
export function createFront(
  config: { readonly port: number; readonly password: string },
  deps: { readonly reporter: Reporter; readonly engine: Engine; readonly listening?: (port: number) => void },
): Front {
  const { engine, reporter } = deps
  const requests = reporter.counter('requests_total', 'requests by HTTP status', ['status'] as const)
  const spooled = reporter.counter('insert_bytes_total', 'bytes of insert data taken')
  // The default of 16 KiB would refuse parameters that ClickHouse takes in the URL.
  const server = createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 10_000 }, (request, response) => {
    response.on('close', () => requests.inc({ status: String(response.statusCode) }))
    void answer(request, response)
  })
  let spoolFiles = 0

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').replace(/\?.*$/, '')
    if (path === '/ping' || path === '/replicas_status') return void response.end('Ok.\n')
    if (path !== '/') return void response.writeHead(404).end(`There is no handle ${path}\n`)
    const left = new AbortController()
    response.on('close', () => left.abort())
    response.setTimeout(0)
    let queryId = newId()
    try {
      if (!isAuthorized(request, config.password))
        throw new Failure(516, 'AUTHENTICATION_FAILED', 'default: Authentication failed: password is incorrect')
      const options = readOptions(request)
      queryId = options.queryId ?? queryId
      response.setHeader('X-ClickHouse-Query-Id', queryId)
      response.setHeader('X-ClickHouse-Timezone', engine.timezone)
      response.setHeader('X-ClickHouse-Server-Display-Name', 'margay-engine')
      await perform(request, response, { ...options, queryId }, left.signal)
    } catch (error) {
      request.unpipe()
      request.resume()
      fail(response, error)
    }
  }

  async function perform(
    request: IncomingMessage,
    response: ServerResponse,
    options: RequestOptions & { readonly queryId: string },
    signal: AbortSignal,
  ): Promise<void> {
    const body = plainBody(request)
    const inUrl = options.query.trim() !== ''
    let sql = inUrl ? options.query : await readText(body, maxStatement)
    let statement = readStatement(sql, options.defaultFormat)
    if (inUrl && statement.kind !== 'insert') {
      // A statement may be cut in two, one part in the URL and the rest in the body.
      const rest = await readText(body, maxStatement)
      if (rest !== '') {
        sql = `${sql}\n${rest}`
        statement = readStatement(sql, options.defaultFormat)
      }
    }
    if (statement.kind === 'refused') throw new Failure(statement.code, 'SYNTAX_ERROR', statement.message)
    const call = { ...options, id: options.queryId, sql, statement, signal }
    if (statement.kind !== 'insert') {
      const { format } = statement
      return engine.run(call, (result) => send(response, result, format ?? 'TabSeparated', options.compress))
    }
    spoolFiles += 1
    const file = join(engine.spool, `${spoolFiles}.data`)
    try {
      spooled.inc(await spoolTo(file, statement.data, inUrl ? body : null))
      await engine.run({ ...call, file }, (result) => send(response, result, null, false))
    } finally {
      rmSync(file, { force: true })
    }
  }

  async function send(
    response: ServerResponse,
    answer: Answer,
    format: string | null,
    compress: boolean,
  ): Promise<void> {
    if (format !== null) response.setHeader('X-ClickHouse-Format', format)
    response.setHeader('Content-Type', contentType(format))
    if (answer.kind === 'whole') {
      response.setHeader('X-ClickHouse-Summary', summary(answer, format === null))
      if (!compress) return void response.end(answer.bytes)
      response.setHeader('Content-Encoding', 'gzip')
      await write(response, Readable.from([answer.bytes]), createGzip({ level: 1 }))
      return
    }
    const chunks = answer.chunks[Symbol.asyncIterator]()
    // The first chunk tells whether the statement runs at all; only then the status can be told.
    const first = await chunks.next()
    response.setHeader('X-ClickHouse-Summary', summary(null, false))
    const tag = randomBytes(12).toString('base64url').slice(0, 16)
    response.setHeader('X-ClickHouse-Exception-Tag', tag)
    if (compress) response.setHeader('Content-Encoding', 'gzip')
    async function* all(): AsyncGenerator<Uint8Array> {
      if (first.done === true) return
      yield first.value
      try {
        while (true) {
          const next = await chunks.next()
          if (next.done === true) return
          yield next.value
        }
      } catch (error) {
        yield Buffer.from(trailer(tag, failureOf(error, engine.version).text))
      }
    }
    try {
      await write(response, Readable.from(all(), { objectMode: true }), compress ? createGzip({ level: 1 }) : null)
    } finally {
      await chunks.return?.()
    }
  }

  function fail(response: ServerResponse, error: unknown): void {
    const { code, text } = failureOf(error, engine.version)
    if (response.headersSent || response.destroyed) return void response.destroy()
    response.removeHeader('Content-Encoding')
    response
      .writeHead(statusOf(code), {
        'Content-Type': 'text/plain; charset=UTF-8',
        'X-ClickHouse-Exception-Code': String(code),
      })
      .end(text)
  }

  return {
    name: 'http front',
    get port() {
      return (server.address() as AddressInfo | null)?.port ?? 0
    },
    async start() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(config.port, '127.0.0.1', () => {
          server.off('error', reject)
          resolve()
        })
      })
      const { port } = server.address() as AddressInfo
      reporter.log.info({ port }, 'listening')
      deps.listening?.(port)
    },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Writes a stream to the client, through the encoder if any, as fast as it takes it. Ends quietly when it leaves. */
function write(response: ServerResponse, source: Readable, encoder: (Writable & NodeJS.ReadableStream) | null) {
  return new Promise<void>((resolve) => {
    let stall: NodeJS.Timeout | undefined
    const watch = () => {
      clearTimeout(stall)
      stall = setTimeout(() => response.destroy(), stallMs)
      stall.unref()
    }
    const close = () => {
      clearTimeout(stall)
      source.destroy()
      resolve()
    }
    source.on('data', watch)
    source.on('error', () => response.destroy())
    response.on('drain', watch)
    response.on('close', close)
    response.on('finish', close)
    watch()
    if (encoder === null) source.pipe(response)
    else source.pipe(encoder).pipe(response)
  })
}

/** How ClickHouse tells of a failure after it has sent rows: text that the client looks for at the end. */
export function trailer(tag: string, message: string): string {
  const text = message.endsWith('\n') ? message : `${message}\n`
  return `\r\n__exception__\r\n${tag}\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`
}

function summary(answer: (Answer & { kind: 'whole' }) | null, writes: boolean): string {
  const { rowsRead = 0, bytesRead = 0, elapsed = 0 } = answer?.result ?? {}
  const counts = {
    read_rows: rowsRead,
    read_bytes: bytesRead,
    written_rows: writes ? rowsRead : 0,
    written_bytes: writes ? bytesRead : 0,
    total_rows_to_read: 0,
    result_rows: 0,
    result_bytes: answer?.bytes.length ?? 0,
    elapsed_ns: Math.round(elapsed * 1e9),
  }
  return JSON.stringify(Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, String(count)])))
}

function contentType(format: string | null): string {
  if (format === null) return 'text/plain; charset=UTF-8'
  if (/^JSON[A-Za-z]*EachRow/.test(format)) return 'application/x-ndjson; charset=UTF-8'
  if (format.startsWith('JSON')) return 'application/json; charset=UTF-8'
  if (format.startsWith('CSV')) return 'text/csv; charset=UTF-8; header=absent'
  if (/^(TabSeparated|TSV)/.test(format)) return 'text/tab-separated-values; charset=UTF-8'
  return 'application/octet-stream'
}
