import type { EventLog } from './event-log.ts'

/** Consumer group of the service that writes the log to ClickHouse: what it has committed can be queried. */
export const storeGroup = 'store'

/** How far one partition of a topic is in ClickHouse. */
export interface StoreProgress {
  readonly partition: number
  /** Offset of the first record that may not be stored yet; records that the log holds no more do not count. */
  readonly stored: number
  /** Offset of the record that the log takes next. */
  readonly end: number
}

/** How far the store is in each partition of a topic. Rejects with LOG_UNAVAILABLE when the log does not answer. */
export async function storeProgress(
  log: Pick<EventLog, 'offsets' | 'committed'>,
  topic: string,
): Promise<StoreProgress[]> {
  const [held, committed] = await Promise.all([log.offsets(topic), log.committed(storeGroup, topic)])
  const done = new Map(committed.map(({ partition, offset }) => [partition, offset]))
  return held.map(({ partition, earliest, next }) => ({
    partition,
    stored: Math.max(earliest, done.get(partition) ?? 0),
    end: next,
  }))
}
