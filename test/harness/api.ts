import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccessRules } from '@margay/api/access'
import { createApp } from '@margay/api/app'
import { createFeeds } from '@margay/api/events/feed'
import { type LiveOptions, liveDefaults } from '@margay/api/events/live'
import type { Ask } from '@margay/api/neighbour'
import { createPulse } from '@margay/api/pulse'
import { createGuard } from '@margay/api/resources/guard'
import { createResourceStore, type ResourceStore } from '@margay/api/resources/store'
import type { ClickHouse } from '@margay/kit/clickhouse'
import { type Config, loadConfig } from '@margay/kit/config'
import { MargayError } from '@margay/kit/errors'
import type { EventLog } from '@margay/kit/event-log'
import { createReporter, type Reporter } from '@margay/kit/reporter'
import { createResourceCache } from '@margay/kit/resources'
import type { FastifyInstance } from 'fastify'
import { createMemoryLog } from './memory-log.ts'

/** What differs from the usual API of a test. */
export interface TestApiOptions {
  /** A started log; one in memory when absent. */
  readonly log?: EventLog
  /** One that is never there when absent. */
  readonly clickhouse?: ClickHouse
  readonly ask?: Ask
  readonly now?: () => number
  readonly access?: Partial<AccessRules>
  readonly api?: Partial<Config['api']>
  readonly live?: Partial<LiveOptions>
  readonly consoleDir?: string
  /** Listen on a free loopback port too. */
  readonly listen?: boolean
}

/** The API in this process: inject requests into `app`, or send them to `url`. */
export interface TestApi {
  readonly app: FastifyInstance
  readonly store: ResourceStore
  readonly reporter: Reporter
  /** Where it listens; empty when it does not. */
  readonly url: string
  stop(): Promise<void>
}

/** Starts the API with everything it needs but other processes. */
export async function startApi(options: TestApiOptions = {}): Promise<TestApi> {
  const reporter = createReporter('api', { level: 'silent' })
  const defaults = loadConfig({ MARGAY_HOME: join(tmpdir(), 'margay-no-home') })
  const config: Config = { ...defaults, cluster: 'test', api: { ...defaults.api, ...options.api } }
  const log = options.log ?? createMemoryLog(options.now)
  const now = options.now ?? Date.now
  const cache = createResourceCache({ log, reporter })
  const guard = createGuard(config.api.authorization, 'test')
  const store = createResourceStore(
    { cluster: 'test', host: 'test-host' },
    { log, cache, reporter, guard, now, uid: randomUUID },
  )
  const feeds = createFeeds({ log, reporter })
  const pulse = createPulse({ log, now })
  for (const component of [cache, store, pulse]) await component.start?.()
  const app = await createApp(
    {
      access: { host: '127.0.0.1', allowedHosts: [], token: null, ...options.access },
      consoleDir: options.consoleDir ?? join(tmpdir(), 'margay-no-console'),
      live: { ...liveDefaults, ...options.live },
    },
    {
      config,
      store,
      guard,
      log,
      clickhouse: options.clickhouse ?? absentClickHouse(),
      feeds,
      pulse,
      ask: options.ask ?? (async ({ service }) => Promise.reject(unavailable(`the service ${service} does not run`))),
      reporter,
      now,
    },
  )
  const url = options.listen === true ? await app.listen({ host: '127.0.0.1', port: 0 }) : ''
  return {
    app,
    store,
    reporter,
    url,
    async stop() {
      await app.close()
      for (const component of [feeds, pulse, store, cache]) await component.stop?.()
    },
  }
}

const unavailable = (message: string) => new MargayError('SERVICE_UNAVAILABLE', message, { status: 503 })

/** A ClickHouse that does not answer. */
function absentClickHouse(): ClickHouse {
  return fakeClickHouse(() => {
    throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:8123'), { code: 'ECONNREFUSED' })
  })
}

/** What a statement was asked with. */
export interface AskedStatement {
  readonly query: string
  readonly query_params: Readonly<Record<string, unknown>>
  readonly clickhouse_settings: Readonly<Record<string, unknown>>
}

/** A ClickHouse whose client answers every query with what `answer` returns or throws: the body of FORMAT JSON. */
export function fakeClickHouse(answer: (asked: AskedStatement) => object): ClickHouse {
  const client = { query: async (asked: AskedStatement) => ({ json: async () => answer(asked) }) }
  const refuse = async () => Promise.reject(new Error('the fake only answers client.query'))
  return {
    name: 'clickhouse',
    query: refuse,
    command: refuse,
    insert: refuse,
    ping: async () => true,
    client: client as unknown as ClickHouse['client'],
  }
}
