import type { EventLog } from '@margay/kit/event-log'
import { storeProgress } from '@margay/kit/store-progress'
import { definitions, topicOf } from '@margay/schemas'

/** How far the store is behind the event log in one topic. */
export interface TopicLag {
  readonly topic: string
  /** Events written to the log and not yet to ClickHouse. */
  readonly events: number
  /** Age of the oldest of them, seconds; 0 when there is none. */
  readonly seconds: number
}

/** Blocks whose headers are read to count events; more are taken to be like them. */
const sample = 20

/** Lag of the store in every event topic. Rejects with LOG_UNAVAILABLE when the log does not answer. */
export function readLag(log: EventLog, now: number): Promise<TopicLag[]> {
  return Promise.all(definitions.map((definition) => lagOf(log, topicOf(definition), now)))
}

async function lagOf(log: EventLog, topic: string, now: number): Promise<TopicLag> {
  let events = 0
  let seconds = 0
  for (const { partition, stored, end } of await storeProgress(log, topic)) {
    if (stored >= end) continue
    const blocks = await log.read({ topic, partition, offset: stored }, sample)
    const [oldest] = blocks
    if (oldest === undefined) continue
    const counted = blocks.reduce((sum, { headers }) => sum + Number(headers.count ?? 1), 0)
    // Offsets may have gaps (a log's own records take some), so blocks are counted while all of them are in view.
    events += blocks.length < sample ? counted : Math.round((counted / blocks.length) * (end - stored))
    seconds = Math.max(seconds, (now - oldest.timestamp) / 1000)
  }
  return { topic, events, seconds: Math.max(0, Math.round(seconds * 10) / 10) }
}
