import type { EventLog } from '@margay/kit/event-log'

/** What it takes to watch the store's progress. */
export interface StoreWatch {
  readonly log: EventLog
  now(): number
  sleep(ms: number): Promise<void>
}

const storeGroup = 'store'
const pollMs = 100

/** Resolves with true when everything that a topic holds now can be queried, with false when that takes longer than `waitMs`. */
export async function isStored(topic: string, waitMs: number, { log, now, sleep }: StoreWatch): Promise<boolean> {
  const ends = await log.offsets(topic)
  const until = now() + waitMs
  for (;;) {
    const committed = await log.committed(storeGroup, topic)
    const isDone = ends.every(({ partition, earliest, next }) => {
      const done = committed.find((at) => at.partition === partition)?.offset ?? 0
      return Math.max(done, earliest) >= next
    })
    if (isDone || now() >= until) return isDone
    await sleep(pollMs)
  }
}
