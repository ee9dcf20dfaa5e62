import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { ClickHouse } from '@margay/kit/clickhouse'
import type { Config } from '@margay/kit/config'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { Feeds } from './events/feed.ts'
import type { Ask } from './neighbour.ts'
import type { Pulse } from './pulse.ts'
import type { Guard } from './resources/guard.ts'
import type { ResourceStore } from './resources/store.ts'

/** What the routes work with. */
export interface ApiContext {
  readonly config: Pick<Config, 'cluster' | 'api' | 'log'>
  readonly store: ResourceStore
  /** Who may read what; the store asks it about writes. */
  readonly guard: Guard
  readonly log: EventLog
  readonly clickhouse: ClickHouse
  readonly feeds: Feeds
  readonly pulse: Pulse
  readonly ask: Ask
  readonly reporter: Reporter
  /** Unix milliseconds. */
  readonly now: () => number
}

/** A server whose handlers know the types of their schemas. */
export type Server = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>
