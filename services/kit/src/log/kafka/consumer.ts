import type { EachBatchPayload, Consumer as GroupClient, Kafka } from 'kafkajs'
import { messageOf } from '../../errors.ts'
import type { ConsumeOptions, Consumer } from '../../event-log.ts'
import type { Reporter } from '../../reporter.ts'
import type { LogMetrics } from '../metrics.ts'
import { backoff, createEnding } from '../pause.ts'
import { fetchWaitMs, type Watch } from './client.ts'
import type { Message } from './internals.ts'
import { runs, toRecord } from './messages.ts'

const sessionMs = 15_000
const heartbeatMs = 1000
const defaultBatchBytes = 2 ** 20
/** Partitions that are handled at the same time. */
const concurrency = 16

/**
 * Joins a group and stays in it: a client that crashes is replaced after a pause, for as long as it takes.
 * `begin` runs before the first client joins.
 */
export function joinGroup(
  kafka: Kafka,
  options: ConsumeOptions,
  deps: { readonly watch: Watch; readonly metrics: LogMetrics; readonly reporter: Reporter; begin(): Promise<void> },
): Consumer {
  const { group, topics } = options
  const { watch, metrics } = deps
  const warn = deps.reporter.sampled()
  const ending = createEnding()
  const failures = new Map<string, number>()
  const maxBytes = options.maxBytes ?? defaultBatchBytes
  let client: GroupClient | undefined
  let isPaused = false

  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, isRunning, isStale } = payload
    const { topic, partition } = batch
    const name = `${topic}/${partition}`
    const beat = setInterval(() => void heartbeat().catch(() => {}), heartbeatMs) // the next one outside tells the runner
    try {
      const records = batch.messages.map((message) => toRecord(topic, partition, message as Message))
      const parts = runs(records, maxBytes)
      for (const [index, part] of parts.entries()) {
        if (!isRunning() || isStale() || isPaused || ending.isOver) return
        try {
          await options.handle({ topic, partition, records: part })
        } catch (error) {
          reject(payload, name, (part[0] as { offset: number }).offset, error)
          return
        }
        // Behind the last record there may be control records of transactions: they are done with too.
        const last = index === parts.length - 1 ? batch.lastOffset() : String(part.at(-1)?.offset)
        const offset = String(BigInt(last) + 1n)
        try {
          await payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset }] }] })
        } catch (error) {
          metrics.commitRefused(group)
          throw error
        }
        payload.resolveOffset(last)
        failures.delete(name)
        metrics.delivered(topic, part.length)
        await heartbeat()
      }
    } finally {
      clearInterval(beat)
    }
  }

  /** Lets the partition rest; as nothing was resolved, the same records come again. */
  function reject({ pause }: EachBatchPayload, name: string, offset: number, error: unknown): void {
    const attempt = (failures.get(name) ?? 0) + 1
    failures.set(name, attempt)
    metrics.deliveryFailed(group)
    warn({ group, partition: name, offset, error: messageOf(error) }, 'batch not handled, will retry')
    const resume = pause()
    const used = client
    void ending.pause(backoff(attempt)).then(() => {
      if (!ending.isOver && !isPaused && client === used) ifRunning(resume)
    })
  }

  /** One life of a client, from connecting to its end; resolves with what ended it, null when the consumer was closed. */
  async function live(used: GroupClient): Promise<unknown> {
    const crashed = new Promise<unknown>((resolve) => {
      used.on(used.events.CRASH, ({ payload }) => resolve(payload.error))
    })
    used.on(used.events.GROUP_JOIN, () => {
      watch.good()
      if (isPaused) used.pause(topics.map((topic) => ({ topic })))
    })
    await used.connect()
    await used.subscribe({ topics: [...topics], fromBeginning: options.from === 'earliest' })
    await used.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: concurrency,
      eachBatch,
    })
    return Promise.race([crashed, ending.over().then(() => null)])
  }

  async function keep(): Promise<void> {
    let attempt = 0
    let hasBegun = false
    while (!ending.isOver) {
      const used = kafka.consumer({
        groupId: group,
        sessionTimeout: sessionMs,
        rebalanceTimeout: 60_000,
        heartbeatInterval: heartbeatMs,
        maxWaitTimeInMs: fetchWaitMs,
        maxBytesPerPartition: Math.max(maxBytes, defaultBatchBytes),
        maxBytes: 8 * Math.max(maxBytes, defaultBatchBytes),
        allowAutoTopicCreation: false,
        retry: { restartOnFailure: async () => false }, // we make a new one
      })
      const started = performance.now()
      try {
        if (!hasBegun) await deps.begin()
        hasBegun = true
        client = used
        const cause = await live(used)
        if (cause !== null) watch.bad(`consumer of group ${group} stopped`, cause)
      } catch (cause) {
        watch.bad(`consumer of group ${group} did not start`, cause)
      }
      await used.disconnect().catch(() => {})
      client = undefined
      attempt = performance.now() - started > 60_000 ? 1 : attempt + 1
      if (!ending.isOver) await ending.pause(backoff(attempt))
    }
  }

  const done = keep()
  return {
    pause() {
      isPaused = true
      ifRunning((used) => used.pause(topics.map((topic) => ({ topic }))))
    },
    resume() {
      isPaused = false
      ifRunning((used) => used.resume(topics.map((topic) => ({ topic }))))
    },
    async close() {
      ending.end()
      await done
    },
  }

  /** kafkajs refuses these calls until the client has joined and after it left; joining looks at `isPaused` itself. */
  function ifRunning(action: (used: GroupClient) => void): void {
    try {
      if (client !== undefined) action(client)
    } catch {}
  }
}
