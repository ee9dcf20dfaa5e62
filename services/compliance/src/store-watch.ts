import type { EventLog } from '@margay/kit/event-log'
import { storeProgress } from '@margay/kit/store-progress'

/** What it takes to watch the store's progress. */
export interface StoreWatch {
  readonly log: EventLog
  now(): number
  sleep(ms: number): Promise<void>
}

const pollMs = 100

/** Resolves with true when everything that a topic holds now can be queried, with false when that takes longer than `waitMs`. */
export async function isStored(topic: string, waitMs: number, { log, now, sleep }: StoreWatch): Promise<boolean> {
  const ends = await log.offsets(topic)
  const until = now() + waitMs
  for (;;) {
    const stored = new Map((await storeProgress(log, topic)).map((one) => [one.partition, one.stored]))
    const isDone = ends.every(({ partition, next }) => (stored.get(partition) ?? 0) >= next)
    if (isDone || now() >= until) return isDone
    await sleep(pollMs)
  }
}
