import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { type ClickHouseClient, type ClickHouseSettings, createClient } from '@clickhouse/client'
import { type Config, milliseconds } from '@margay/schemas'
import { clickHouseFailure } from './clickhouse/failure.ts'
import { findClickHouse, type Target } from './clickhouse/target.ts'
import type { Component } from './component.ts'
import { MargayError, messageOf } from './errors.ts'
import type { Reporter } from './reporter.ts'

/** Bound parameters, settings and an end for a statement. */
export interface StatementOptions {
  /** Values of `{name:Type}` in the statement; they never become part of its text. */
  readonly params?: Readonly<Record<string, unknown>>
  /** ClickHouse settings of this statement alone. */
  readonly settings?: ClickHouseSettings
  /** Ends the wait; the statement is killed in ClickHouse. The call rejects with an AbortError. */
  readonly signal?: AbortSignal
}

/** Rows for a table, in one request. */
export interface Insert {
  /** Table of the configured database. */
  readonly table: string
  /** Columns that the body has, in order; all of the table's when absent. */
  readonly columns?: readonly string[]
  /** ClickHouse input format of the body, as in `JSONEachRow` or `Native`. */
  readonly format: string
  readonly body: Buffer
  /** Names this very batch: ClickHouse stores the batch of a token once, however often it is sent. */
  readonly token?: string
  readonly settings?: ClickHouseSettings
  readonly signal?: AbortSignal
}

/**
 * ClickHouse: a server, or the embedded engine, over the same HTTP interface. Failures are MargayErrors:
 * CLICKHOUSE_UNAVAILABLE (try again) and CLICKHOUSE_REFUSED (`details.clickhouseCode` says why).
 */
export interface ClickHouse extends Component {
  /** The rows of a SELECT, as JSONEachRow gives them. The statement must not have a FORMAT clause. */
  query<T>(sql: string, options?: StatementOptions): Promise<T[]>
  /** Runs a statement without an answer (DDL, KILL, SYSTEM). */
  command(sql: string, options?: StatementOptions): Promise<void>
  /** Resolves when the rows are stored. One insert is one block: all of its rows of one partition are stored, or none. */
  insert(insert: Insert): Promise<void>
  /** Whether ClickHouse answers and takes the credentials. */
  ping(): Promise<boolean>
  /** The client underneath, for streams and formats of one's own. Throws CLICKHOUSE_UNAVAILABLE while no engine runs. */
  readonly client: ClickHouseClient
}

/** So many rows fit one block; a batch cut in two would be deduplicated by halves. */
const oneBlock = String(2 ** 24)

const insertSettings: ClickHouseSettings = {
  async_insert: 0,
  max_insert_threads: '1',
  max_insert_block_size: oneBlock,
  min_insert_block_size_rows: oneBlock,
  min_insert_block_size_bytes: '0',
  deduplicate_blocks_in_dependent_materialized_views: 1,
}

/** Milliseconds between two looks at a ClickHouse that did not answer while starting. */
const startPauseMs = 250

/** Connects to ClickHouse as the configuration says; `start` waits for it and makes the database. */
export function createClickHouse(config: Config, deps: { readonly reporter: Reporter }): ClickHouse {
  const { reporter } = deps
  const { database } = config.clickhouse
  const timeoutMs = milliseconds(config.clickhouse.requestTimeout)
  let target: Target | undefined
  let client: ClickHouseClient | undefined
  let failingSince: number | undefined
  let reason = 'not connected yet'
  let stopped = false
  const outcomes = reporter.counter('clickhouse_requests_total', 'statements sent to ClickHouse by outcome', [
    'outcome',
  ] as const)
  const seconds = reporter.histogram(
    'clickhouse_request_seconds',
    'time of a statement, its answer included',
    [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    ['kind'] as const,
  )

  /** The client of the engine that runs now: after a restart it may listen elsewhere. */
  function connected(): ClickHouseClient {
    const found = findClickHouse(config)
    if (client === undefined || target?.url !== found.url || target.password !== found.password) {
      void client?.close()
      target = found
      client = createClient({
        url: found.url,
        username: found.user,
        password: found.password,
        database,
        application: 'margay',
        request_timeout: timeoutMs,
        max_open_connections: 16,
        // Sockets idle for longer may have been closed by the server already.
        keep_alive: { enabled: true, idle_socket_ttl: 2500 },
        clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
        log: { level: 127 },
      })
    }
    return client
  }

  async function attempt<T>(kind: 'query' | 'command' | 'insert', run: (client: ClickHouseClient) => Promise<T>) {
    const time = seconds.startTimer({ kind })
    try {
      const result = await run(connected())
      failingSince = undefined
      outcomes.inc({ outcome: 'ok' })
      return result
    } catch (error) {
      const failure = clickHouseFailure(error, { url: target?.url ?? config.home, insert: kind === 'insert' })
      const unavailable = failure instanceof MargayError && failure.code === 'CLICKHOUSE_UNAVAILABLE'
      outcomes.inc({ outcome: unavailable ? 'unavailable' : failure instanceof MargayError ? 'refused' : 'aborted' })
      if (unavailable) {
        failingSince ??= Date.now()
        reason = failure.message
      } else failingSince = undefined
      throw failure
    } finally {
      time()
    }
  }

  const optionsOf = (options: StatementOptions) => ({
    ...(options.params === undefined ? {} : { query_params: { ...options.params } }),
    ...(options.settings === undefined ? {} : { clickhouse_settings: options.settings }),
    ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
  })

  async function ensureDatabase(): Promise<void> {
    // Not the client's own database, which may not exist yet.
    const { url, user, password } = findClickHouse(config)
    const bare = createClient({ url, username: user, password, request_timeout: timeoutMs, log: { level: 127 } })
    try {
      const answer = await bare.query({
        query: "SELECT engine FROM system.databases WHERE name = 'default'",
        format: 'JSONEachRow',
      })
      const [standard] = (await answer.json()) as { engine: string }[]
      // A server knows best what it makes (Replicated, Shared); the engine's default shows files as tables.
      const engine = standard?.engine === 'Overlay' ? ' ENGINE = Atomic' : ''
      await bare.command({ query: `CREATE DATABASE IF NOT EXISTS ${quote(database)}${engine}` })
    } finally {
      await bare.close()
    }
  }

  return {
    name: 'clickhouse',
    get client() {
      return connected()
    },
    query: (sql, options = {}) =>
      attempt('query', async (c) => {
        const answer = await c.query({ query: sql, format: 'JSONEachRow', ...optionsOf(options) })
        return (await answer.json()) as never
      }),
    command: (sql, options = {}) =>
      attempt('command', async (c) => {
        await c.command({ query: sql, ...optionsOf(options) })
      }),
    insert: (insert) =>
      attempt('insert', async (c) => {
        const columns = insert.columns === undefined ? '' : ` (${insert.columns.map(quote).join(', ')})`
        const { stream } = await c.exec({
          query: `INSERT INTO ${quote(insert.table)}${columns} FORMAT ${insert.format}`,
          values: Readable.from([insert.body], { objectMode: false }),
          clickhouse_settings: {
            ...insertSettings,
            ...(insert.token === undefined ? {} : { insert_deduplication_token: insert.token }),
            ...insert.settings,
          },
          ...(insert.signal === undefined ? {} : { abort_signal: insert.signal }),
        })
        for await (const _ of stream) {
          // The answer of an insert is empty; its end says that the rows are stored.
        }
      }),
    async ping() {
      try {
        await attempt('query', (c) => c.query({ query: 'SELECT 1', format: 'JSONEachRow' }).then((a) => a.text()))
        return true
      } catch {
        return false
      }
    },
    /** Waits for ClickHouse as long as a request may take; then rejects with CLICKHOUSE_UNAVAILABLE. */
    async start() {
      const until = Date.now() + timeoutMs
      while (!stopped) {
        try {
          return await attempt('command', () => ensureDatabase())
        } catch (error) {
          const again = error instanceof MargayError && error.code === 'CLICKHOUSE_UNAVAILABLE'
          if (!again || Date.now() > until) throw error
          await setTimeout(startPauseMs)
        }
      }
    },
    async stop() {
      stopped = true
      await client
        ?.close()
        .catch((error: unknown) => reporter.log.debug({ error: messageOf(error) }, 'client not closed'))
      client = undefined
    },
    health: () => (failingSince === undefined && client !== undefined ? { state: 'ok' } : waiting()),
  }

  function waiting() {
    if (failingSince === undefined) return { state: 'ok' as const }
    const seconds = Math.round((Date.now() - failingSince) / 1000)
    return { state: 'degraded' as const, reason: `since ${seconds} s: ${reason}` }
  }
}

function quote(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}
