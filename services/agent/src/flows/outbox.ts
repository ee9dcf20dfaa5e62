import { type BlockOrigin, encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { EventLog, LogRecord } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import type { EventDefinition } from '@margay/schemas'

/** Events on their way to the event log. They wait in memory while it does not answer; the oldest are given up when there are too many. */
export interface Outbox extends Component {
  add<E extends object>(definition: EventDefinition, events: readonly E[]): void
  /** Resolves when everything added so far is durable, or after `timeoutMs`; false then. */
  drained(timeoutMs: number): Promise<boolean>
}

const firstRetryMs = 200
const longestRetryMs = 5000
/** Records of one append. */
const batchRecords = 20
/** Time that stop gives the log to take what is left. */
const farewellMs = 2000

/** Makes an empty outbox over the event log. */
export function createOutbox(
  config: { readonly limitBytes: number; readonly origin: BlockOrigin },
  deps: { readonly log: Pick<EventLog, 'append'>; readonly reporter: Reporter },
): Outbox {
  const { log, reporter } = deps
  let queue: LogRecord[] = []
  let bytes = 0
  let isSending = false
  let isStopped = false
  let failure: string | null = null
  let lost = 0
  let pause: NodeJS.Timeout | undefined
  let wake: (() => void) | undefined
  let idle: (() => void)[] = []
  const events = reporter.counter('events_total', 'events handed to the event log', ['kind', 'result'])
  const held = reporter.gauge('outbox_bytes', 'bytes that wait for the event log')

  const sizeOf = (record: LogRecord) => record.value?.length ?? 0
  const countOf = (record: LogRecord) => Number(record.headers?.count ?? 0)
  const kindOf = (record: LogRecord) => record.headers?.schema?.split('/')[0] ?? ''

  function shrink(): void {
    while (bytes > config.limitBytes && queue.length > 1) {
      const record = queue.shift() as LogRecord
      bytes -= sizeOf(record)
      lost += countOf(record)
      events.inc({ kind: kindOf(record), result: 'lost' }, countOf(record))
    }
  }

  async function send(): Promise<void> {
    if (isSending) return
    isSending = true
    let retryMs = firstRetryMs
    while (queue.length > 0) {
      const batch = queue.slice(0, batchRecords)
      try {
        await log.append(batch)
      } catch (error) {
        if (failure === null) reporter.log.warn({ error: messageOf(error) }, 'event log does not answer, events wait')
        failure = messageOf(error)
        if (isStopped) break
        await new Promise<void>((resolve) => {
          wake = resolve
          pause = setTimeout(resolve, retryMs)
        })
        retryMs = Math.min(retryMs * 2, longestRetryMs)
        continue
      }
      failure = null
      retryMs = firstRetryMs
      for (const record of batch) events.inc({ kind: kindOf(record), result: 'sent' }, countOf(record))
      // While the append was under way the oldest of the batch may have been given up; they are durable after all.
      const sent = new Set(batch)
      queue = queue.filter((record) => !sent.has(record))
      bytes = queue.reduce((sum, record) => sum + sizeOf(record), 0)
      held.set(bytes)
    }
    isSending = false
    if (queue.length === 0) for (const resolve of idle.splice(0)) resolve()
  }

  return {
    name: 'outbox',
    add(definition, list) {
      for (const record of encodeBlocks(definition, list, config.origin)) {
        queue.push(record)
        bytes += sizeOf(record)
      }
      shrink()
      held.set(bytes)
      void send()
    },
    drained(timeoutMs) {
      if (queue.length === 0) return Promise.resolve(true)
      return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(false), timeoutMs)
        idle.push(() => {
          clearTimeout(timer)
          resolve(true)
        })
      })
    },
    async start() {
      isStopped = false
    },
    async stop() {
      await this.drained(farewellMs)
      isStopped = true
      clearTimeout(pause)
      wake?.()
      if (queue.length > 0) {
        const left = queue.reduce((sum, record) => sum + countOf(record), 0)
        for (const record of queue) events.inc({ kind: kindOf(record), result: 'lost' }, countOf(record))
        reporter.log.error({ events: left }, 'events lost: the event log did not take them before the end')
      }
      idle = []
    },
    health() {
      if (failure !== null)
        return {
          state: 'degraded',
          reason: `the event log does not answer (${failure}); ${lost} events are lost so far`,
        }
      return lost > 0
        ? { state: 'degraded', reason: `${lost} events were lost while the event log did not answer` }
        : { state: 'ok' }
    },
  }
}
