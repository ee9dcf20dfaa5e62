import { randomUUID } from 'node:crypto'
import { type Kafka, Partitioners, type Producer, type RecordMetadata } from 'kafkajs'
import { MargayError } from '../../errors.ts'
import type { LogRecord, Position } from '../../event-log.ts'
import type { Catalog } from './catalog.ts'
import { maxBatchBytes, patienceMs, patiently, type Watch } from './client.ts'
import { sizeOf, toMessage } from './messages.ts'

/** Writes records. */
export interface Writer {
  append(records: readonly LogRecord[]): Promise<Position[]>
  close(): Promise<void>
}

/** Bytes that may wait to be sent; more is refused. */
const maxWaitingBytes = 64 * 2 ** 20
/** Time that a try gets at least, however long its append has waited. */
const leastMs = 1000
/** Bytes of appends that share one request. */
const maxRequestBytes = 4 * 2 ** 20

type Placed = LogRecord & { readonly partition: number }

interface Append {
  readonly records: readonly Placed[]
  readonly bytes: number
  readonly since: number
  resolve(positions: Position[]): void
  reject(error: unknown): void
}

/**
 * Makes the writer of a client. Appends to one partition go through an idempotent producer, those that wait together in one
 * request; an append to several partitions is a transaction of its own. One request of a producer is under way at a time,
 * and a producer that failed is replaced, as kafkajs's sequence numbers cannot be trusted after an error.
 */
export function createWriter(kafka: Kafka, catalog: Catalog, watch: Watch, clientId: string): Writer {
  const choose = Partitioners.DefaultPartitioner()
  const plain = createLane(
    () => kafka.producer({ ...common, idempotent: true }),
    async (producer, appends) => producer.sendBatch({ acks: -1, topicMessages: toTopics(appends) }),
  )
  const atomic = createLane(
    () =>
      kafka.producer({
        ...common,
        idempotent: true,
        transactionalId: `${clientId}-${randomUUID()}`,
        transactionTimeout: 30_000,
      }),
    async (producer, appends) => {
      const transaction = await producer.transaction()
      try {
        const answer = await transaction.sendBatch({ acks: -1, topicMessages: toTopics(appends) })
        await transaction.commit()
        return answer
      } catch (error) {
        await transaction.abort().catch(() => {})
        throw error
      }
    },
  )
  let waiting = 0

  /** A producer with a queue before it. */
  function createLane(
    make: () => Producer,
    send: (producer: Producer, appends: readonly Append[]) => Promise<RecordMetadata[]>,
  ) {
    const queue: Append[] = []
    let producer: Promise<Producer> | undefined
    let isBusy = false

    async function connect(): Promise<Producer> {
      const made = make()
      await made.connect()
      return made
    }
    function drop(used: Promise<Producer> | undefined): void {
      if (producer === used) producer = undefined
      void used?.then((one) => one.disconnect()).catch(() => {})
    }
    async function work(share: boolean): Promise<void> {
      if (isBusy) return
      isBusy = true
      while (queue.length > 0) {
        const appends = take(share)
        producer ??= connect()
        const used = producer
        try {
          const waited = performance.now() - (appends[0] as Append).since
          const left = Math.max(leastMs, patienceMs - waited)
          const answer = await patiently(
            used.then((one) => send(one, appends)),
            left,
          )
          watch.good()
          const positions = positionsOf(appends, answer)
          for (const [index, append] of appends.entries()) append.resolve(positions[index] as Position[])
        } catch (error) {
          drop(used)
          const failure = watch.bad('records not written', error)
          for (const append of appends) append.reject(failure)
          const late = queue.filter(({ since }) => performance.now() - since > patienceMs - leastMs)
          for (const append of late) {
            queue.splice(queue.indexOf(append), 1)
            append.reject(failure)
          }
        }
      }
      isBusy = false
    }
    function take(share: boolean): Append[] {
      const appends = [queue.shift() as Append]
      let size = (appends[0] as Append).bytes
      while (share && queue[0] !== undefined && size + queue[0].bytes <= maxRequestBytes) {
        size += queue[0].bytes
        appends.push(queue.shift() as Append)
      }
      return appends
    }
    return {
      push(append: Append, share: boolean) {
        queue.push(append)
        void work(share)
      },
      close() {
        const used = producer
        producer = undefined
        return used?.then((one) => one.disconnect()).catch(() => {})
      },
    }
  }

  return {
    async append(records) {
      if (records.length === 0) return []
      const placed = await place(records)
      const bytes = placed.reduce((sum, record) => sum + sizeOf(record), 0)
      checkSize(placed)
      if (waiting + bytes > maxWaitingBytes) {
        throw watch.bad('records not written', new Error(`${waiting} bytes wait to be sent already`))
      }
      waiting += bytes
      try {
        return await new Promise<Position[]>((resolve, reject) => {
          const append: Append = { records: placed, bytes, since: performance.now(), resolve, reject }
          const places = new Set(placed.map(({ topic, partition }) => `${topic}/${partition}`))
          if (places.size === 1) plain.push(append, true)
          else atomic.push(append, false)
        })
      } finally {
        waiting -= bytes
      }
    },
    async close() {
      await Promise.allSettled([plain.close(), atomic.close()])
    },
  }

  /** Chooses partitions as Kafka's own clients do; the records of one append that have no key stay together. */
  async function place(records: readonly LogRecord[]): Promise<Placed[]> {
    const keyless = new Map<string, number>()
    const placed: Placed[] = []
    for (const record of records) {
      const { topic } = record
      if (record.partition !== undefined) await catalog.check(topic, record.partition)
      const count = await catalog.partitions(topic)
      const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 0 }))
      const pick = () =>
        choose({
          topic,
          partitionMetadata: partitionMetadata as Parameters<typeof choose>[0]['partitionMetadata'],
          message: { key: record.key, value: null },
        })
      let partition = record.partition ?? (record.key === null ? keyless.get(topic) : pick())
      if (partition === undefined) {
        partition = pick()
        keyless.set(topic, partition)
      }
      placed.push({ ...record, partition })
    }
    return placed
  }
}

const common = {
  allowAutoTopicCreation: false,
  createPartitioner: Partitioners.DefaultPartitioner,
  maxInFlightRequests: 1,
} as const

function checkSize(records: readonly Placed[]): void {
  const sizes = new Map<string, number>()
  for (const record of records) {
    const name = `${record.topic}/${record.partition}`
    const size = (sizes.get(name) ?? 0) + sizeOf(record)
    sizes.set(name, size)
    if (size > maxBatchBytes) {
      throw new MargayError(
        'LOG_RECORD_TOO_LARGE',
        `an append of more than ${maxBatchBytes} bytes to one partition of ${record.topic} is too large; split it`,
      )
    }
  }
}

function toTopics(appends: readonly Append[]) {
  const topics = new Map<string, ReturnType<typeof toMessage>[]>()
  for (const record of appends.flatMap(({ records }) => records)) {
    const messages = topics.get(record.topic) ?? []
    messages.push(toMessage(record, record.partition))
    topics.set(record.topic, messages)
  }
  return [...topics].map(([topic, messages]) => ({ topic, messages }))
}

/** Where the records of each append lie: the broker tells the first offset of each partition. */
function positionsOf(appends: readonly Append[], answer: readonly RecordMetadata[]): Position[][] {
  const next = new Map(
    answer.map(({ topicName, partition, baseOffset }) => [`${topicName}/${partition}`, Number(baseOffset)]),
  )
  return appends.map(({ records }) =>
    records.map(({ topic, partition }) => {
      const place = `${topic}/${partition}`
      const offset = next.get(place) ?? -1
      next.set(place, offset + 1)
      return { topic, partition, offset }
    }),
  )
}
