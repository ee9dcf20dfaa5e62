import { encodeBlocks } from '@margay/kit/blocks'
import { loadConfig } from '@margay/kit/config'
import type { LogRecord } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { type FlowEvent, flow } from '@margay/schemas'
import { baselineTopic, type Order } from './baseline.ts'
import { flowCorpus } from './corpus.ts'

/** Events of one append: what a busy node flushes at once, or a generous producer batch. */
const appendEvents = 2000

// A process of its own: makes the events on `prepare`, appends them on `go`, and says when the log has them.
const config = loadConfig()
const log = createEventLog(config, { reporter: createReporter('bench', { level: 'error' }) })
await log.start?.()
let events: FlowEvent[] = []

function records(batch: readonly FlowEvent[], variant: Order['variant']): LogRecord[] {
  if (variant === 'margay') return encodeBlocks(flow, batch, { cluster: 'bench', producer: 'agent/bench' })
  return batch.map((event) => ({ topic: baselineTopic, key: event.host, value: Buffer.from(JSON.stringify(event)) }))
}

process.on('message', async (order: Order) => {
  if (order.do === 'prepare') events = flowCorpus(order.events, order.seed, Date.now())
  else
    for (let at = 0; at < events.length; at += appendEvents)
      await log.append(records(events.slice(at, at + appendEvents), order.variant))
  process.send?.({ done: order.do })
})
process.on('disconnect', async () => {
  await log.stop?.()
  process.exit()
})
process.send?.({ ready: true })
