import type { EventLog } from '@margay/kit/event-log'

/** Tells how far the data that can be queried has come. */
export interface Watermark {
  /** True when everything that the log took before `time` (unix ms, not in the future) can be queried. */
  passed(topic: string, time: number): Promise<boolean>
}

/** Consumer group of the store: what it has committed is in ClickHouse. */
const storeGroup = 'store'

/** Makes the watermark from the store's own progress in the event log: no guess at how late data may be. */
export function createWatermark(deps: { readonly log: EventLog }): Watermark {
  const { log } = deps
  return {
    async passed(topic, time) {
      const [wanted, committed, held] = await Promise.all([
        log.offsetsAt(topic, time),
        log.committed(storeGroup, topic),
        log.offsets(topic),
      ])
      return wanted.every(({ partition, offset }) => {
        const done = committed.find((at) => at.partition === partition)?.offset ?? 0
        const earliest = held.find((at) => at.partition === partition)?.earliest ?? 0
        return Math.max(done, earliest) >= offset
      })
    },
  }
}
