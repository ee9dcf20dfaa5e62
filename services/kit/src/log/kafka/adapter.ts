import { setTimeout } from 'node:timers/promises'
import type { Health } from '../../component.ts'
import { MargayError, messageOf } from '../../errors.ts'
import type { EventLog, StoredRecord, TopicSpec } from '../../event-log.ts'
import type { Reporter } from '../../reporter.ts'
import { createLogMetrics } from '../metrics.ts'
import { backoff, createEnding, type Ending } from '../pause.ts'
import { type Catalog, createCatalog } from './catalog.ts'
import { createKafka, createWatch, type KafkaConfig } from './client.ts'
import { joinGroup } from './consumer.ts'
import { createGroups, type Groups } from './groups.ts'
import { createWriter, type Writer } from './producer.ts'
import { isOutOfRange } from './reader.ts'
import { follow } from './tail.ts'

/** Which broker, and how topics are made there. */
export interface KafkaLogConfig extends KafkaConfig {
  /** Topics made once Kafka can be reached. */
  readonly topics: readonly TopicSpec[]
}

interface Open {
  readonly kafka: ReturnType<typeof createKafka>
  readonly catalog: Catalog
  readonly groups: Groups
  readonly writer: Writer
  readonly ending: Ending
}

/** Time that handlers have to end their batch when the log stops. */
const graceMs = 10_000
const readBytes = 8 * 2 ** 20

/**
 * The event log on Kafka. Starts without a broker too: it is then degraded, appends reject with LOG_UNAVAILABLE within ten
 * seconds, consumers and tails begin when the broker comes. Offsets have gaps where transactions leave their marks.
 */
export function createKafkaLog(config: KafkaLogConfig, deps: { readonly reporter: Reporter }): EventLog {
  const { reporter } = deps
  const metrics = createLogMetrics(reporter)
  const watch = createWatch(config.brokers)
  const parts = new Set<{ close(): Promise<void> }>()
  const warn = reporter.sampled()
  let open: Open | undefined

  function need(): Open {
    if (open !== undefined) return open
    throw new MargayError('LOG_UNAVAILABLE', 'the event log is not open; start it first')
  }

  /** Adds a part that ends with the log, and forgets it when it is closed before. */
  function keep<P extends { close(): Promise<void> }>(part: P): P {
    parts.add(part)
    return {
      ...part,
      async close() {
        parts.delete(part)
        await part.close()
      },
    }
  }

  async function makeTopics({ catalog, ending }: Open, tried: number): Promise<void> {
    for (let attempt = tried; !ending.isOver; attempt += 1) {
      try {
        return await catalog.create(config.topics)
      } catch (error) {
        warn({ error: messageOf(error) }, 'topics not made yet, will retry')
        await ending.pause(backoff(attempt))
      }
    }
  }

  return {
    name: 'event log',
    health(): Health {
      if (open === undefined) return { state: 'down', reason: 'the event log is not open' }
      return watch.trouble === null ? { state: 'ok' } : { state: 'degraded', reason: watch.trouble }
    },
    async start() {
      if (open !== undefined) return
      const kafka = createKafka(config, reporter)
      const catalog = createCatalog(kafka, watch, config.replicationFactor)
      const writer = createWriter(kafka, catalog, watch, config.clientId)
      const opened = { kafka, catalog, groups: createGroups(kafka, catalog, watch), writer, ending: createEnding() }
      open = opened
      try {
        await catalog.create(config.topics)
      } catch (error) {
        warn({ error: messageOf(error) }, 'kafka cannot be reached, starting without')
        void makeTopics(opened, 1)
      }
    },
    async stop() {
      const closing = open
      if (closing === undefined) return
      closing.ending.end()
      const closed = Promise.allSettled([...parts].map((part) => part.close()))
      await Promise.race([closed, setTimeout(graceMs, undefined, { ref: false })])
      parts.clear()
      open = undefined
      const ended = Promise.allSettled([closing.writer.close(), closing.catalog.close()])
      await Promise.race([ended, setTimeout(graceMs, undefined, { ref: false })])
    },
    createTopics: async (topics) => need().catalog.create(topics),
    async append(records) {
      const { writer } = need()
      return await metrics.append(records, () => writer.append(records))
    },
    async consume(options) {
      const { kafka, groups, catalog } = need()
      await ignoreUnavailable(Promise.all(options.topics.map((topic) => catalog.partitions(topic))))
      const begin = async () => {
        if (options.from === 'latest') await groups.beginAtEnd(options.group, options.topics)
      }
      return keep(joinGroup(kafka, options, { watch, metrics, reporter, begin }))
    },
    async tail(options) {
      const { kafka, catalog } = need()
      return keep(await follow(kafka, options, { catalog, watch, metrics, reporter }))
    },
    async read({ topic, partition, offset }, limit) {
      const { catalog } = need()
      await catalog.check(topic, partition)
      if (limit <= 0) return []
      return catalog.read('records not read', async (reader) => {
        const count = await catalog.partitions(topic)
        const end = (await reader.locate(topic, count, 'latest'))[partition] ?? 0
        const found: StoredRecord[] = []
        let at = offset
        while (at < end && found.length < limit) {
          const [[leader]] = [...(await reader.leaders([{ topic, partition }]))] as [[string, unknown]]
          try {
            const [fetched] = await reader.fetch(leader, [{ topic, partition, offset: at }], readBytes)
            if (fetched === undefined) break
            found.push(...fetched.records)
            at = fetched.next
          } catch (error) {
            if (!isOutOfRange(error)) throw error
            at = (await reader.locate(topic, count, 'earliest'))[partition] ?? end
          }
        }
        return found.slice(0, limit)
      })
    },
    async offsets(topic) {
      const { catalog } = need()
      const count = await catalog.partitions(topic)
      return catalog.read('offsets not read', async (reader) => {
        const starts = await reader.locate(topic, count, 'earliest')
        const ends = await reader.locate(topic, count, 'latest')
        return ends.map((next, partition) => ({ partition, earliest: starts[partition] ?? 0, next: next ?? 0 }))
      })
    },
    async offsetsAt(topic, time) {
      const { catalog } = need()
      const count = await catalog.partitions(topic)
      return catalog.read('offsets not read', async (reader) => {
        const found = await reader.locate(topic, count, { time: Math.max(0, Math.ceil(time)) })
        const ends = await reader.locate(topic, count, 'latest')
        return found.map((offset, partition) => ({ partition, offset: offset ?? ends[partition] ?? 0 }))
      })
    },
    committed: async (group, topic) => need().groups.committed(group, topic),
    seek: async (group, position) => need().groups.seek(group, position),
  }
}

async function ignoreUnavailable(promise: Promise<unknown>): Promise<void> {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof MargayError && error.code === 'LOG_UNAVAILABLE')) throw error
  }
}
