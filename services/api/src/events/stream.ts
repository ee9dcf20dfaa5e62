import { Readable } from 'node:stream'

/** How a stream of server-sent events is written. */
export interface EventStreamOptions {
  /** Events held for a slow client; the oldest go first. */
  readonly queueLimit: number
  /** Least time between two writes. */
  readonly intervalMs: number
  /** Time between comments that keep idle connections open. */
  readonly heartbeatMs: number
  /** Told how many events were dropped. */
  readonly onDrop: (count: number) => void
}

/** A stream of server-sent events that never holds more than its queue. */
export interface EventStream {
  readonly readable: Readable
  /** Takes the JSON texts of events. */
  push(events: readonly string[]): void
}

/**
 * Makes the body of a live answer: events as `data:` lines in batches, a `dropped` event that says how many a slow
 * client missed, heartbeats as comments. Destroy the readable to end it. Format: HTML Standard, "Server-sent events".
 */
export function createEventStream({ queueLimit, intervalMs, heartbeatMs, onDrop }: EventStreamOptions): EventStream {
  let queue: string[] = []
  let dropped = 0
  let wanted = false
  let quiet = 0
  const timer = setInterval(flush, intervalMs)
  const readable = new Readable({
    highWaterMark: 256 * 1024,
    read() {
      wanted = true
    },
    destroy(error, callback) {
      clearInterval(timer)
      queue = []
      callback(error)
    },
  })
  readable.push(': following\nretry: 2000\n\n')

  function flush(): void {
    quiet += intervalMs
    if (!wanted) return
    let text = ''
    if (dropped > 0) text += `event: dropped\ndata: {"count":${dropped}}\n\n`
    for (const event of queue) text += `data: ${event}\n\n`
    if (text === '' && quiet < heartbeatMs) return
    dropped = 0
    queue = []
    quiet = 0
    wanted = readable.push(text === '' ? ': heartbeat\n\n' : text)
  }

  return {
    readable,
    push(events) {
      queue = queue.concat(events)
      if (queue.length <= queueLimit) return
      const excess = queue.length - queueLimit
      dropped += excess
      onDrop(excess)
      queue = queue.slice(-queueLimit)
    },
  }
}
