import { setTimeout } from 'node:timers/promises'
import type { Health } from '../../component.ts'
import { MargayError, messageOf } from '../../errors.ts'
import type { EventLog, TopicSpec } from '../../event-log.ts'
import type { Reporter } from '../../reporter.ts'
import { createLogMetrics } from '../metrics.ts'
import { createCatalog } from './catalog.ts'
import { joinGroup, type Membership, type Reading } from './consumer.ts'
import { claimFormat, type Database, openDatabase } from './database.ts'
import { createGroups } from './groups.ts'
import { createRecords } from './records.ts'
import { expire } from './retention.ts'
import { createSignal } from './signal.ts'
import { follow } from './tail.ts'

/** Where the log lies. */
export interface EmbeddedLogConfig {
  /** Folder; made when absent. Any number of processes may open it. */
  readonly dir: string
  /** Topics made at start. */
  readonly topics: readonly TopicSpec[]
  /** Time that a member of a group lives after its last sign; three quarters of it at least pass before its partitions move. */
  readonly memberMs?: number
  /** Time between two rounds of retention over all processes. */
  readonly maintenanceMs?: number
  /** Time that a tombstone stays in a compacted topic. */
  readonly tombstoneMs?: number
}

/** Time that handlers have to end their batch when the log stops. */
const graceMs = 10_000

type Open = Reading & { readonly database: Database }

/** The event log in a folder, on LMDB; shared by the processes of one machine. See layout.ts for what lies where. */
export function createEmbeddedLog(
  config: EmbeddedLogConfig,
  deps: { readonly reporter: Reporter; readonly now?: () => number },
): EventLog {
  const { dir } = config
  const { reporter } = deps
  const now = deps.now ?? Date.now
  const memberMs = config.memberMs ?? 4000
  const maintenanceMs = config.maintenanceMs ?? 60_000
  const tombstoneMs = config.tombstoneMs ?? 24 * 3_600_000
  const metrics = createLogMetrics(reporter)
  const warn = reporter.sampled()
  const memberships = new Set<Membership>()
  const tails = new Set<{ close(): Promise<void> }>()
  const timers: NodeJS.Timeout[] = []
  let open: Open | undefined
  let trouble: string | undefined

  function need(): Open {
    if (open !== undefined) return open
    throw new MargayError('LOG_UNAVAILABLE', `the event log in ${dir} is not open; start it first`)
  }

  /** Runs a write and keeps its outcome for `health`. */
  async function watched<T>(action: () => Promise<T>): Promise<T> {
    try {
      const result = await action()
      trouble = undefined
      return result
    } catch (error) {
      if (error instanceof MargayError && error.code === 'LOG_UNAVAILABLE') trouble = error.message
      throw error
    }
  }

  async function renewAll(): Promise<void> {
    for (const membership of memberships) {
      try {
        await watched(() => membership.renew())
      } catch (error) {
        warn({ error: messageOf(error) }, 'membership of a consumer group not renewed')
      }
    }
  }

  /** Retention, by whichever process finds it due first. */
  async function maintain({ database, catalog }: Open): Promise<void> {
    const key = Buffer.from('maintained')
    const due = () => Math.abs(now() - Number(database.facts.get(key)?.toString() ?? 0)) >= maintenanceMs
    database.refresh()
    database.sweep()
    if (!due()) return
    const isMine = await database.write(() => {
      if (!due()) return false
      database.facts.put(key, Buffer.from(String(now())))
      return true
    })
    if (isMine) await expire(database, catalog, { now: now(), tombstoneMs }, metrics.removed)
  }

  function every(ms: number, action: () => Promise<void>): void {
    let isBusy = false
    const timer = setInterval(() => {
      if (isBusy) return
      isBusy = true
      action()
        .catch((error) => warn({ error: messageOf(error) }, 'upkeep of the event log failed, will retry'))
        .finally(() => {
          isBusy = false
        })
    }, ms)
    timer.unref()
    timers.push(timer)
  }

  return {
    name: 'event log',
    health(): Health {
      if (open === undefined) return { state: 'down', reason: `the event log in ${dir} is not open` }
      return trouble === undefined ? { state: 'ok' } : { state: 'degraded', reason: trouble }
    },
    async start() {
      if (open !== undefined) return
      const database = openDatabase(dir)
      try {
        await claimFormat(database, dir)
        const catalog = createCatalog(database)
        await catalog.create(config.topics)
        open = {
          database,
          catalog,
          records: createRecords(database, catalog, now),
          groups: createGroups(database, catalog, now, memberMs),
          news: createSignal(dir, 'records'),
          moves: createSignal(dir, 'groups', () => void renewAll()),
          metrics,
          reporter,
        }
      } catch (error) {
        await database.close()
        throw error
      }
      const opened = open
      every(memberMs / 4, renewAll)
      every(maintenanceMs / 2, () => maintain(opened))
    },
    async stop() {
      const closing = open
      if (closing === undefined) return
      for (const timer of timers.splice(0)) clearInterval(timer)
      const parts = Promise.allSettled([...memberships, ...tails].map((part) => part.close()))
      await Promise.race([parts, setTimeout(graceMs, undefined, { ref: false })])
      open = undefined
      closing.news.close()
      closing.moves.close()
      await closing.database.close()
    },
    createTopics: async (topics) => need().catalog.create(topics),
    async append(records) {
      const { records: store, news } = need()
      if (records.length === 0) return []
      return await metrics.append(records, async () => {
        const positions = await watched(() => store.append(records))
        news.raise()
        return positions
      })
    },
    async consume(options) {
      const reading = need()
      for (const topic of options.topics) reading.catalog.find(topic)
      const membership = joinGroup(options, reading)
      try {
        await watched(() => membership.renew())
      } catch (error) {
        await membership.close().catch(() => {}) // what it may have written expires
        throw error
      }
      memberships.add(membership)
      reading.moves.raise()
      return {
        pause: membership.pause,
        resume: membership.resume,
        async close() {
          memberships.delete(membership)
          await membership.close()
        },
      }
    },
    async tail(options) {
      const tail = follow(options, need())
      tails.add(tail)
      return {
        async close() {
          tails.delete(tail)
          await tail.close()
        },
      }
    },
    async read({ topic, partition, offset }, limit) {
      const { catalog, records } = need()
      const limits = { bytes: Number.MAX_SAFE_INTEGER, count: limit }
      return limit <= 0 ? [] : records.read(catalog.check(topic, partition), partition, offset, limits).records
    },
    async offsets(name) {
      const { catalog, database } = need()
      const topic = catalog.find(name)
      database.refresh()
      return Array.from({ length: topic.partitions }, (_, partition) => {
        const { earliest, next } = catalog.head(topic, partition)
        return { partition, earliest, next }
      })
    },
    async offsetsAt(name, time) {
      const { catalog, records } = need()
      const topic = catalog.find(name)
      return Array.from({ length: topic.partitions }, (_, partition) => ({
        partition,
        offset: records.offsetAt(topic, partition, time),
      }))
    },
    committed: async (group, topic) => need().groups.committed(group, topic),
    seek: (group, position) => watched(async () => need().groups.seek(group, position)),
  }
}
