import { setImmediate } from 'node:timers/promises'
import { messageOf } from '../../errors.ts'
import type { TailOptions } from '../../event-log.ts'
import { backoff, createEnding } from '../pause.ts'
import { batchRecords, defaultBatchBytes, type Reading } from './consumer.ts'

/** A partition followed, with the offset to read next and the head at the start. */
interface Cursor {
  readonly topic: string
  readonly partition: number
  position: number
  readonly end: number
}

/** Follows topics from a position; one loop reads their partitions in turn. Throws LOG_TOPIC_UNKNOWN. */
export function follow(options: TailOptions, reading: Omit<Reading, 'groups' | 'moves'>): { close(): Promise<void> } {
  const { catalog, records, news, metrics, reporter } = reading
  const { from } = options
  const ending = createEnding()
  const warn = reporter.sampled()
  const limits = { bytes: defaultBatchBytes, count: batchRecords }
  const topics = options.topics.map((name) => catalog.find(name))
  const cursors: Cursor[] = topics.flatMap((topic) =>
    Array.from({ length: topic.partitions }, (_, partition) => {
      const time = typeof from === 'object' ? records.offsetAt(topic, partition, from.time) : 0
      const head = catalog.head(topic, partition)
      const position = from === 'earliest' ? head.earliest : from === 'latest' ? head.next : time
      return { topic: topic.name, partition, position, end: head.next }
    }),
  )
  let isCaughtUp = false

  /** Handles one batch of a partition; false when there was none. */
  async function step(cursor: Cursor): Promise<boolean> {
    const { topic: name, partition } = cursor
    const topic = catalog.find(name)
    const run = records.read(topic, partition, cursor.position, limits)
    const [first] = run.records
    if (first !== undefined) {
      if (!topic.compacted && first.offset > cursor.position) metrics.skipped(name, first.offset - cursor.position)
      await options.handle({ topic: name, partition, records: run.records })
      metrics.delivered(name, run.records.length)
    }
    cursor.position = run.next
    return first !== undefined
  }

  async function loop(): Promise<void> {
    let failures = 0
    while (!ending.isOver) {
      const seen = news.version
      let moved = false
      try {
        for (const cursor of cursors) {
          if (ending.isOver) return
          if (await step(cursor)) moved = true
        }
        if (!isCaughtUp && cursors.every(({ position, end }) => position >= end)) {
          isCaughtUp = true
          options.caughtUp?.()
        }
        failures = 0
        // Reading is synchronous: without a turn for others a long replay would stop the process.
        await (moved ? setImmediate() : news.changed(seen))
      } catch (error) {
        failures += 1
        warn({ topics: options.topics, error: messageOf(error) }, 'batch of a tail not handled, will retry')
        await ending.pause(backoff(failures))
      }
    }
  }

  const done = loop()
  return {
    async close() {
      ending.end()
      news.wake()
      await done
    },
  }
}
