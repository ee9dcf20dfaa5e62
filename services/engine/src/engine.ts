import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Component } from '@margay/kit/component'
import { MargayError } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import { identifier, literal } from '@margay/kit/sql'
import type { Chdb, ChdbResult, ChdbSession } from './chdb.ts'
import { Failure } from './failure.ts'
import { gateClass, gateText, gateTree, withoutFormat } from './gate.ts'
import { writeServerConfig } from './server-config.ts'
import { Crowded, createSlots } from './slots.ts'
import type { Statement } from './statement.ts'

/** One statement with everything it is to be run with; nothing of it outlives the call. */
export interface Call {
  readonly id: string
  readonly statement: Exclude<Statement, { kind: 'refused' }>
  /** Text as the client sent it. */
  readonly sql: string
  readonly database: string | null
  readonly params: readonly (readonly [string, string])[]
  readonly settings: readonly (readonly [string, string])[]
  /** 1 and 2 as in ClickHouse: the statement passes the gate, then runs with this setting. */
  readonly readonly: 0 | 1 | 2
  /** File of an insert's data. */
  readonly file?: string
  readonly signal: AbortSignal
}

/** What a statement gave. */
export type Answer =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array; readonly result: ChdbResult }
  | { readonly kind: 'chunks'; readonly chunks: AsyncIterable<Uint8Array> }

/** The embedded ClickHouse. */
export interface Engine extends Component {
  readonly version: string
  readonly timezone: string
  /** Folder for the data of inserts under way. */
  readonly spool: string
  /** Runs one statement; `use` has the answer until it resolves. Rejects with chDB's error or a Failure. */
  run<T>(call: Call, use: (answer: Answer) => Promise<T>): Promise<T>
}

/** Statements at a time. Each holds a thread of libuv's pool; files, and the statement that kills others, need some too. */
const atOnce = 12
const waiting = 400
/** An engine that says nothing for so long is stuck, and a new one is open in a second. */
const silenceMs = 120_000
/** How long the end waits for statements that were told to end. */
const endMs = 10_000

/**
 * Hosts chDB on one data directory. Every call has a connection of its own, so that settings and parameters never reach
 * another; a call whose signal aborts is killed inside the engine.
 */
export function createEngine(
  config: { readonly dir: string; readonly maxMemory: number },
  deps: {
    readonly reporter: Reporter
    readonly load: () => Chdb
    /** Ends the process at once. Nothing that was acknowledged is lost by that; an orderly end would wait for ever. */
    readonly giveUp: (reason: string) => void
  },
): Engine {
  const { reporter } = deps
  const spool = join(config.dir, 'spool')
  const slots = createSlots(atOnce, waiting)
  const running = new Map<string, AbortController>()
  const calls = new Set<Promise<unknown>>()
  let chdb: Chdb
  let admin: ChdbSession | undefined
  let version = ''
  let timezone = ''
  let stopping = false
  let watch: NodeJS.Timeout | undefined
  let answeredAt = 0
  const seconds = reporter.histogram(
    'statement_seconds',
    'time of a statement in the engine',
    [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  )
  const gauge = reporter.gauge('statements', 'statements by state', ['state'] as const)
  const killed = reporter.counter('statements_killed_total', 'statements killed because their client left')
  const refused = reporter.counter('statements_refused_total', 'read-only statements that the gate refused')

  function measure(): void {
    gauge.set({ state: 'running' }, slots.taken)
    gauge.set({ state: 'waiting' }, slots.waiting)
  }

  /** Asks again and again: a statement that has not begun yet cannot be killed yet. */
  async function kill(id: string, until: AbortSignal): Promise<void> {
    killed.inc()
    while (!until.aborted) {
      await admin?.queryAsync(`KILL QUERY WHERE Settings['log_comment'] = ${literal(id)} ASYNC`, { format: 'Null' })
      await setTimeout(100)
    }
  }

  /** Asks the engine whether it lives. Statements that take long do not keep it from answering. */
  async function look(): Promise<void> {
    if (Date.now() - answeredAt > silenceMs) return deps.giveUp(`the engine has not answered for ${silenceMs / 1000} s`)
    if (admin === undefined) return
    await text(admin, 'SELECT 1').then(
      () => {
        answeredAt = Date.now()
      },
      () => {},
    )
  }

  async function text(session: ChdbSession, sql: string): Promise<string> {
    return (await session.queryAsync(sql, { format: 'TSVRaw' })).text()
  }

  /** Refuses what a read-only request must not do. The session has the call's parameters and database already. */
  async function guard(session: ChdbSession, call: Call): Promise<void> {
    const refuse = (reason: string | null) => {
      if (reason === null) return
      refused.inc()
      throw new Failure(164, 'READONLY', `${reason}: the request is read-only`)
    }
    const database = call.database ?? 'default'
    refuse(call.statement.kind === 'insert' ? 'INSERT is not allowed' : gateText(call.sql))
    refuse(gateClass(await chdb.classify(session, call.sql)))
    const databases = (await text(session, 'SELECT name, engine FROM system.databases'))
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'))
    // Only a database of tables: `default` and its like show the files of the machine as tables.
    refuse(
      databases.some(([name, engine]) => name === database && engine === 'Atomic')
        ? null
        : `the database ${database} cannot be read`,
    )
    const others = new Set(databases.map(([name]) => name as string).filter((name) => name !== database))
    refuse(gateTree(await text(session, `EXPLAIN AST ${withoutFormat(call.sql)}`), database, others))
  }

  async function prepare(session: ChdbSession, call: Call): Promise<void> {
    const sets = [
      `SET log_comment = ${literal(call.id)}, async_insert = 0`,
      ...(call.database === null ? [] : [`USE ${identifier(call.database)}`]),
      ...call.params.map(([name, value]) => `SET param_${name} = ${literal(value)}`),
      ...call.settings.map(([name, value]) => `SET ${name} = ${literal(value)}`),
    ]
    await session.queryAsync(sets.join('; '), { format: 'Null' })
    if (call.readonly === 0) return
    await guard(session, call)
    await session.queryAsync(`SET readonly = ${call.readonly}`, { format: 'Null' })
  }

  async function execute<T>(call: Call, use: (answer: Answer) => Promise<T>): Promise<T> {
    const session = chdb.open(config.dir)
    const done = new AbortController()
    const onAbort = () => void kill(call.id, done.signal).catch(() => {})
    call.signal.addEventListener('abort', onAbort, { once: true, signal: done.signal })
    const time = seconds.startTimer()
    try {
      await prepare(session, call)
      if (call.signal.aborted)
        throw new Failure(394, 'QUERY_WAS_CANCELLED', 'the client left before the statement began')
      const { statement } = call
      if (statement.kind === 'insert') {
        const result = await session.queryAsync(statement.from(call.file as string), { format: 'Null' })
        return await use({ kind: 'whole', bytes: new Uint8Array(), result })
      }
      const format = statement.format ?? 'TabSeparated'
      if (!statement.streams) {
        const result = await session.queryAsync(statement.sql, { format })
        return await use({ kind: 'whole', bytes: result.bytes(), result })
      }
      const stream = session.queryStream(statement.sql, { format })
      async function* chunks(): AsyncGenerator<Uint8Array> {
        for await (const chunk of stream) yield chunk.raw()
      }
      return await use({ kind: 'chunks', chunks: chunks() })
    } finally {
      time()
      done.abort()
      session.close()
    }
  }

  return {
    name: 'engine',
    get version() {
      return version
    },
    get timezone() {
      return timezone
    },
    spool,
    async start() {
      if (/[*?{}]/.test(config.dir))
        throw new MargayError('ENGINE_DIRECTORY_INVALID', `engine.dir ${config.dir} must not contain * ? { or }`)
      chdb = deps.load()
      const file = writeServerConfig(config.dir, config.maxMemory)
      rmSync(spool, { recursive: true, force: true })
      mkdirSync(spool, { recursive: true, mode: 0o700 })
      admin = chdb.open(config.dir, [`--config-file=${file}`])
      ;[version = '', timezone = ''] = (await text(admin, 'SELECT version(), timezone()')).trim().split('\t')
      reporter.log.info({ version, dir: config.dir }, 'the embedded clickhouse is open')
      answeredAt = Date.now()
      watch = setInterval(() => void look(), silenceMs / 10)
    },
    /** The order matters: closing a connection under a running statement takes the whole process down. */
    async stop() {
      stopping = true
      clearInterval(watch)
      for (const controller of running.values()) controller.abort()
      const settled = Promise.allSettled(calls).then(() => true)
      if (!(await Promise.race([settled, setTimeout(endMs, false, { ref: false })])))
        return deps.giveUp(`statements could not be ended in ${endMs / 1000} s`)
      admin?.close()
      admin = undefined
      await chdb?.drain()
      rmSync(spool, { recursive: true, force: true })
    },
    health: () => (admin === undefined ? { state: 'down', reason: 'the engine is not open' } : { state: 'ok' }),
    async run(call, use) {
      if (stopping || admin === undefined) throw new Failure(236, 'ABORTED', 'the engine is stopping')
      if (running.has(call.id))
        throw new Failure(216, 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING', `Query with id = ${call.id} is already running`)
      const controller = new AbortController()
      const follow = () => controller.abort(call.signal.reason)
      call.signal.addEventListener('abort', follow, { once: true })
      if (call.signal.aborted) controller.abort(call.signal.reason)
      running.set(call.id, controller)
      const work = (async () => {
        let release: (() => void) | undefined
        try {
          release = await slots.take(controller.signal)
          measure()
          return await execute({ ...call, signal: controller.signal }, use)
        } catch (error) {
          if (error instanceof Crowded)
            throw new Failure(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', `Too many simultaneous queries: ${error.message}`)
          throw error
        } finally {
          release?.()
          call.signal.removeEventListener('abort', follow)
          running.delete(call.id)
          measure()
        }
      })()
      calls.add(work)
      const forget = () => calls.delete(work)
      work.then(forget, forget)
      return work
    },
  }
}

/** An id for a statement whose client gave none. */
export const newId = (): string => randomUUID()
