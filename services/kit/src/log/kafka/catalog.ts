import type { Admin, Kafka } from 'kafkajs'
import { MargayError } from '../../errors.ts'
import type { TopicSpec } from '../../event-log.ts'
import { maxBatchBytes, type Watch } from './client.ts'
import { openReader, type Reader, unknownTopic } from './reader.ts'

/** Topics, and the connections that many short questions share. */
export interface Catalog {
  /** Makes topics that do not exist. */
  create(topics: readonly TopicSpec[]): Promise<void>
  /** Number of partitions; rejects with LOG_TOPIC_UNKNOWN. */
  partitions(topic: string): Promise<number>
  /** Rejects with LOG_TOPIC_UNKNOWN when the topic has no such partition. */
  check(topic: string, partition: number): Promise<void>
  /** Asks something over the shared reader. */
  read<T>(what: string, question: (reader: Reader) => Promise<T>): Promise<T>
  /** Asks something of the shared administrator. */
  administer<T>(what: string, question: (admin: Admin) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Makes the catalogue of a client. */
export function createCatalog(kafka: Kafka, watch: Watch, replicationFactor: number): Catalog {
  let known = new Map<string, number>()
  let reader: Promise<Reader> | undefined
  let admin: Promise<Admin> | undefined

  async function read<T>(what: string, question: (reader: Reader) => Promise<T>): Promise<T> {
    return watch.run(what, async () => {
      reader ??= openReader(kafka, [])
      const used = reader
      try {
        return await question(await used)
      } catch (error) {
        if (reader === used) reader = undefined
        void used.then((one) => one.close()).catch(() => {})
        throw error
      }
    })
  }

  async function administer<T>(what: string, question: (admin: Admin) => Promise<T>): Promise<T> {
    return watch.run(what, async () => {
      admin ??= (async () => {
        const one = kafka.admin()
        await one.connect()
        return one
      })()
      const used = admin
      try {
        return await question(await used)
      } catch (error) {
        if (admin === used) admin = undefined
        void used.then((one) => one.disconnect()).catch(() => {})
        throw error
      }
    })
  }

  async function load(): Promise<void> {
    known = await read('topics not listed', (one) => one.topics())
  }

  async function partitions(topic: string): Promise<number> {
    if (!known.has(topic)) await load()
    const count = known.get(topic)
    if (count === undefined) throw unknownTopic(topic)
    return count
  }

  return {
    read,
    administer,
    partitions,
    async check(topic, partition) {
      const count = await partitions(topic)
      if (!Number.isInteger(partition) || partition < 0 || partition >= count) {
        throw new MargayError('LOG_TOPIC_UNKNOWN', `topic ${topic} has ${count} partitions, none is ${partition}`)
      }
    },
    async create(topics) {
      await load()
      // Another process may make the same topics at the same time: then look again.
      for (let attempt = 1; ; attempt += 1) {
        const missing = topics.filter(({ name }) => !known.has(name))
        if (missing.length === 0) return
        try {
          await administer('topics not made', (one) =>
            one.createTopics({ topics: missing.map((spec) => toKafka(spec, replicationFactor)), waitForLeaders: true }),
          )
        } catch (error) {
          if (attempt === 3) throw error
        }
        await load()
      }
    },
    async close() {
      const open = [reader?.then((one) => one.close()), admin?.then((one) => one.disconnect())]
      reader = undefined
      admin = undefined
      await Promise.allSettled(open)
    },
  }
}

function toKafka(spec: TopicSpec, replicationFactor: number) {
  const entries: Record<string, string> = {
    'cleanup.policy': spec.compacted ? 'compact' : 'delete',
    'retention.ms': String(spec.retentionMs),
    'max.message.bytes': String(maxBatchBytes),
    'message.timestamp.type': 'LogAppendTime',
    // Only closed segments are compacted: close them often enough for a topic that changes seldom.
    ...(spec.compacted ? { 'segment.ms': '3600000', 'min.cleanable.dirty.ratio': '0.1' } : {}),
  }
  return {
    topic: spec.name,
    numPartitions: spec.partitions,
    replicationFactor,
    configEntries: Object.entries(entries).map(([name, value]) => ({ name, value })),
  }
}
