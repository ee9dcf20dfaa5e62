import { randomUUID } from 'node:crypto'
import { messageOf } from '../../errors.ts'
import type { ConsumeOptions, Consumer } from '../../event-log.ts'
import type { Reporter } from '../../reporter.ts'
import type { LogMetrics } from '../metrics.ts'
import { backoff, createEnding, type Ending } from '../pause.ts'
import type { Catalog } from './catalog.ts'
import { type Groups, type Held, nameOf } from './groups.ts'
import type { Records } from './records.ts'
import type { Signal } from './signal.ts'

/** What consumers and tails of one open folder share. */
export interface Reading {
  readonly catalog: Catalog
  readonly records: Records
  readonly groups: Groups
  /** Raised when records were appended. */
  readonly news: Signal
  /** Raised when a member came, went or gave partitions back. */
  readonly moves: Signal
  readonly metrics: LogMetrics
  readonly reporter: Reporter
}

/** Bytes of values in one batch unless the consumer says otherwise. */
export const defaultBatchBytes = 2 ** 20
/** Most records in one batch. */
export const batchRecords = 2000

/** A member of a group that this process runs. */
export interface Membership extends Consumer {
  /** Renews the membership and takes or gives back partitions; called every second and when members move. */
  renew(): Promise<void>
}

/** A partition being read. */
interface Reader {
  readonly held: Held
  readonly ending: Ending
  readonly done: Promise<void>
}

/** Joins a group. One loop for each partition held: read, hand over, commit. */
export function joinGroup(options: ConsumeOptions, reading: Reading): Membership {
  const { catalog, records, groups, news, moves, metrics, reporter } = reading
  const { group } = options
  const member = { id: `${process.pid}-${randomUUID()}`, topics: options.topics }
  const readers = new Map<string, Reader>()
  const warn = reporter.sampled()
  const limits = { bytes: options.maxBytes ?? defaultBatchBytes, count: batchRecords }
  let isPaused = false
  let isClosed = false
  let isDue = false
  let renewing: Promise<void> | undefined

  async function read(held: Held, ending: Ending): Promise<void> {
    const { topic: name, partition } = held
    const topic = catalog.find(name)
    let position = held.from
    let stored = held.stored
    let failures = 0
    while (!ending.isOver) {
      const seen = news.version
      try {
        if (isPaused) {
          await news.changed(seen)
          continue
        }
        const run = records.read(topic, partition, position, limits)
        if (run.records.length === 0) {
          position = run.next
          await news.changed(seen)
          continue
        }
        const first = (run.records[0] as { offset: number }).offset
        if (!topic.compacted && first > position) metrics.skipped(name, first - position)
        await options.handle({ topic: name, partition, records: run.records })
        if (!(await groups.commit(group, member.id, { topic: name, partition, stored, next: run.next }))) {
          metrics.commitRefused(group)
          warn({ group, topic: name, partition }, 'partition moved to another member during a batch')
          return
        }
        metrics.delivered(name, run.records.length)
        position = run.next
        stored = run.next
        failures = 0
      } catch (error) {
        failures += 1
        metrics.deliveryFailed(group)
        warn(
          { group, topic: name, partition, offset: position, error: messageOf(error) },
          'batch not handled, will retry',
        )
        await ending.pause(backoff(failures))
      }
    }
  }

  function begin(held: Held): void {
    const ending = createEnding()
    const name = nameOf(held)
    const done = read(held, ending).finally(() => readers.delete(name))
    readers.set(name, { held, ending, done })
  }

  async function giveBack(readersBack: readonly Reader[]): Promise<void> {
    for (const { ending } of readersBack) ending.end()
    news.wake()
    await Promise.all(readersBack.map(({ done }) => done))
    await groups.release(
      group,
      member.id,
      readersBack.map(({ held }) => held),
    )
    moves.raise()
  }

  async function renewOnce(): Promise<void> {
    const { held, share } = await groups.renew(group, member, options.from)
    if (isClosed) return
    const wanted = new Set(share.map(nameOf))
    const mine = new Set(held.map(nameOf))
    for (const reader of readers.values()) if (!mine.has(nameOf(reader.held))) reader.ending.end() // taken from us
    for (const slot of held) if (wanted.has(nameOf(slot)) && !readers.has(nameOf(slot))) begin(slot)
    const excess = [...readers.values()].filter(({ held, ending }) => !wanted.has(nameOf(held)) && !ending.isOver)
    if (excess.length > 0) {
      void giveBack(excess).catch((error) => warn({ group, error: messageOf(error) }, 'partitions not given back'))
    }
  }

  /** What happened during a renewal asks for one more. */
  async function renewWhileDue(): Promise<void> {
    while (isDue && !isClosed) {
      isDue = false
      await renewOnce()
    }
  }

  return {
    renew() {
      if (isClosed) return Promise.resolve()
      isDue = true
      renewing ??= renewWhileDue().finally(() => {
        renewing = undefined
      })
      return renewing
    },
    pause() {
      isPaused = true
    },
    resume() {
      isPaused = false
      news.wake()
    },
    async close() {
      if (isClosed) return
      isClosed = true
      await renewing?.catch(() => {})
      const left = [...readers.values()]
      for (const { ending } of left) ending.end()
      news.wake()
      await Promise.all(left.map(({ done }) => done))
      await groups.leave(group, member.id)
      moves.raise()
    },
  }
}
