import type { Component, Health } from '@margay/kit/component'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { storeProgress } from '@margay/kit/store-progress'
import type { Progress } from './intake.ts'

/** Seconds behind from which the store says so. */
const degradedSeconds = 60

/** Measures how far the store is behind the log: records that wait, and the age of the oldest that may be among them. */
export function createLag(
  config: { readonly topics: readonly string[]; readonly intervalMs: number },
  deps: {
    readonly log: EventLog
    readonly reporter: Reporter
    readonly progress: Progress
    readonly now?: () => number
  },
): Component {
  const { log, reporter, progress, now = Date.now } = deps
  const messages = reporter.gauge('lag_messages', 'records of the log that are not stored yet', ['topic'] as const)
  const seconds = reporter.gauge('lag_seconds', 'age of what was stored last while records wait', ['topic'] as const)
  const behindSince = new Map<string, number>()
  let worst = { topic: '', seconds: 0 }
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined

  async function lookAt(topic: string): Promise<{ topic: string; seconds: number }> {
    const waiting = (await storeProgress(log, topic)).reduce(
      (sum, { stored, end }) => sum + Math.max(0, end - stored),
      0,
    )
    messages.set({ topic }, waiting)
    if (waiting === 0) behindSince.delete(topic)
    else if (!behindSince.has(topic)) behindSince.set(topic, now())
    const since = behindSince.get(topic)
    // A topic that was quiet for an hour is not an hour behind when one record waits.
    const behind = since === undefined ? 0 : (now() - Math.max(since, progress.storedAt.get(topic) ?? 0)) / 1000
    seconds.set({ topic }, behind)
    return { topic, seconds: behind }
  }

  async function look(): Promise<void> {
    try {
      const all = await Promise.all(config.topics.map(lookAt))
      worst = all.reduce((a, b) => (b.seconds > a.seconds ? b : a), { topic: '', seconds: 0 })
    } catch {
      // The log's own health tells why; the gauges keep what was seen last.
    }
  }

  function health(): Health {
    if (worst.seconds < degradedSeconds) return { state: 'ok' }
    return { state: 'degraded', reason: `${Math.round(worst.seconds)} s behind on ${worst.topic}` }
  }

  return {
    name: 'lag',
    async start() {
      timer = setInterval(() => {
        looking ??= look().finally(() => {
          looking = undefined
        })
      }, config.intervalMs)
    },
    async stop() {
      clearInterval(timer)
      await looking
    },
    health,
  }
}
