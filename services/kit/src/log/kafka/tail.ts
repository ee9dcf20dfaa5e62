import type { Kafka } from 'kafkajs'
import { MargayError, messageOf } from '../../errors.ts'
import type { StoredRecord, TailOptions } from '../../event-log.ts'
import type { Reporter } from '../../reporter.ts'
import type { LogMetrics } from '../metrics.ts'
import { backoff, createEnding } from '../pause.ts'
import type { Catalog } from './catalog.ts'
import type { Watch } from './client.ts'
import { runs } from './messages.ts'
import { isOutOfRange, openReader, type Reader } from './reader.ts'

/** A partition followed. */
interface Cursor {
  readonly topic: string
  readonly partition: number
  offset: number
  /** End of the partition when the tail began. */
  readonly end: number
}

const batchBytes = 2 ** 20

/**
 * Follows topics without a group, over connections of its own. Resolves once the start has been found, or, if Kafka cannot
 * be reached, at once: the tail then begins when it can. Rejects with LOG_TOPIC_UNKNOWN.
 */
export async function follow(
  kafka: Kafka,
  options: TailOptions,
  deps: { readonly catalog: Catalog; readonly watch: Watch; readonly metrics: LogMetrics; readonly reporter: Reporter },
): Promise<{ close(): Promise<void> }> {
  const { catalog, watch, metrics } = deps
  const warn = deps.reporter.sampled()
  const ending = createEnding()
  let cursors: Cursor[] | undefined
  let isCaughtUp = false
  let turn: Promise<unknown> = Promise.resolve()
  let attempt = 0

  /** Finds where each partition begins; a tail from the latest begins where the end is now. */
  async function locate(reader: Reader): Promise<Cursor[]> {
    const all: Cursor[] = []
    for (const topic of options.topics) {
      const count = await catalog.partitions(topic)
      const ends = await reader.locate(topic, count, 'latest')
      const starts = await reader.locate(topic, count, options.from === 'latest' ? 'decided' : options.from)
      for (let partition = 0; partition < count; partition += 1) {
        const end = ends[partition] ?? 0
        all.push({ topic, partition, offset: starts[partition] ?? end, end })
      }
    }
    return all
  }

  async function open(): Promise<Reader> {
    for (const topic of options.topics) await catalog.partitions(topic)
    const reader = await openReader(kafka, options.topics)
    try {
      cursors ??= await locate(reader)
      return reader
    } catch (error) {
      void reader.close().catch(() => {})
      throw error
    }
  }

  function look(): void {
    if (isCaughtUp || ending.isOver || !(cursors ?? []).every(({ offset, end }) => offset >= end)) return
    isCaughtUp = true
    options.caughtUp?.()
  }

  /** Hands over records until the handler takes them; one handler runs at a time over all partitions. */
  function handle(topic: string, partition: number, records: readonly StoredRecord[]): Promise<void> {
    const action = async () => {
      for (let tries = 1; !ending.isOver; tries += 1) {
        try {
          await options.handle({ topic, partition, records })
          metrics.delivered(topic, records.length)
          return
        } catch (error) {
          warn({ topic, partition, error: messageOf(error) }, 'batch of a tail not handled, will retry')
          await ending.pause(backoff(tries))
        }
      }
    }
    const result = turn.then(action)
    turn = result
    return result
  }

  /** Takes partitions whose start retention has taken on to where they begin now. */
  async function skipRemoved(reader: Reader): Promise<void> {
    for (const cursor of cursors ?? []) {
      const count = await catalog.partitions(cursor.topic)
      const earliest = (await reader.locate(cursor.topic, count, 'earliest'))[cursor.partition] ?? 0
      if (earliest <= cursor.offset) continue
      metrics.skipped(cursor.topic, earliest - cursor.offset)
      cursor.offset = earliest
    }
  }

  /** Reads until something fails; each broker has its own loop. */
  async function read(reader: Reader): Promise<void> {
    let isOver = false
    const follow = async (leader: string, mine: readonly Cursor[]) => {
      try {
        while (!isOver && !ending.isOver) {
          for (const { topic, partition, records, next } of await reader.fetch(leader, mine, batchBytes)) {
            for (const part of runs(records, batchBytes)) await handle(topic, partition, part)
            const cursor = mine.find((one) => one.topic === topic && one.partition === partition)
            if (cursor !== undefined && !ending.isOver) cursor.offset = next
          }
          watch.good()
          attempt = 0
          look()
        }
      } finally {
        isOver = true
      }
    }
    look()
    const loops = [...(await reader.leaders(cursors ?? []))].map(([leader, mine]) => follow(leader, mine))
    const failed = (await Promise.allSettled(loops)).find((result) => result.status === 'rejected')
    if (failed === undefined) return
    if (!isOutOfRange(failed.reason)) throw failed.reason
    await skipRemoved(reader)
  }

  async function keep(first: Reader | undefined): Promise<void> {
    let reader = first
    while (!ending.isOver) {
      try {
        reader ??= await open()
        await read(reader)
      } catch (error) {
        attempt += 1
        watch.bad('tail interrupted', error)
        warn({ topics: options.topics, error: messageOf(error) }, 'tail interrupted, will go on')
        await ending.pause(backoff(attempt))
      }
      await reader?.close().catch(() => {})
      reader = undefined
    }
  }

  let first: Reader | undefined
  try {
    first = await open()
  } catch (error) {
    if (error instanceof MargayError && error.code === 'LOG_TOPIC_UNKNOWN') throw error
    watch.bad('tail not begun', error)
  }
  const done = keep(first)
  return {
    async close() {
      ending.end()
      await done
    },
  }
}
