import { setTimeout } from 'node:timers/promises'
import type { Batch, EventLog, LogRecord, StoredRecord } from '../../src/event-log.ts'

/** A handler that keeps what it got. */
export interface Collector {
  readonly records: StoredRecord[]
  readonly values: string[]
  handle(batch: Batch): Promise<void>
}

/** Makes a collector; `before` may delay or refuse a batch. */
export function collect(before: (batch: Batch) => void | Promise<void> = () => {}): Collector {
  const records: StoredRecord[] = []
  return {
    records,
    get values() {
      return records.map(({ value }) => value?.toString() ?? '')
    },
    async handle(batch) {
      await before(batch)
      records.push(...batch.records)
    },
  }
}

/** Waits until something holds; fails with what it last was after `ms`. */
export async function until(holds: () => unknown, ms = 15_000): Promise<void> {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not so after ${ms} ms: ${holds.toString()}`)
    await setTimeout(5)
  }
}

/** A record whose value is a text. */
export function text(topic: string, value: string, more: Partial<LogRecord> = {}): LogRecord {
  return { topic, key: null, value: Buffer.from(value), ...more }
}

/** The texts `<prefix>0` ... */
export function series(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

/** Makes one topic. */
export async function makeTopic(
  log: EventLog,
  name: string,
  more: { partitions?: number; compacted?: boolean; retentionMs?: number } = {},
): Promise<string> {
  await log.createTopics([{ name, partitions: 1, retentionMs: -1, compacted: false, ...more }])
  return name
}
