import type { EventLog } from '@margay/kit/event-log'
import { storeProgress } from '@margay/kit/store-progress'

/** Tells how far the data that can be queried has come. */
export interface Watermark {
  /** True when everything that the log took before `time` (unix ms, not in the future) can be queried. */
  passed(topic: string, time: number): Promise<boolean>
}

/** Makes the watermark from the store's own progress in the event log: no guess at how late data may be. */
export function createWatermark(deps: { readonly log: EventLog }): Watermark {
  const { log } = deps
  return {
    async passed(topic, time) {
      const [wanted, progress] = await Promise.all([log.offsetsAt(topic, time), storeProgress(log, topic)])
      const stored = new Map(progress.map((one) => [one.partition, one.stored]))
      return wanted.every(({ partition, offset }) => (stored.get(partition) ?? 0) >= offset)
    },
  }
}
