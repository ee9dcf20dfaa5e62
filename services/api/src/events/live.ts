import type { Readable } from 'node:stream'
import { MargayError } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import { type EventDefinition, matchQuery, type Query } from '@margay/schemas'
import type { Feeds } from './feed.ts'
import { presentEvent } from './presentation.ts'
import { createEventStream } from './stream.ts'

/** Opens bodies of live answers. */
export interface Live {
  /** New events of a data set that match, as server-sent events. Throws STREAMS_EXHAUSTED or LOG_UNAVAILABLE. */
  open(definition: EventDefinition, query: Query | null): Promise<Readable>
}

/** Limits of live tails. */
export interface LiveOptions {
  readonly maxStreams: number
  readonly queueLimit: number
  readonly intervalMs: number
  readonly heartbeatMs: number
}

/** Generous for people, a bound for programs that forget to close; four batches a second are as live as eyes can follow. */
export const liveDefaults: LiveOptions = { maxStreams: 64, queueLimit: 2_000, intervalMs: 250, heartbeatMs: 15_000 }

/** Makes the live tails over the feeds. */
export function createLive(
  options: LiveOptions,
  { feeds, reporter }: { readonly feeds: Feeds; readonly reporter: Reporter },
): Live {
  let open = 0
  const streams = reporter.gauge('streams', 'clients that follow events')
  const dropped = reporter.counter('stream_events_dropped_total', 'events that slow clients missed')

  return {
    async open(definition, query) {
      if (open >= options.maxStreams) {
        throw new MargayError(
          'STREAMS_EXHAUSTED',
          `${options.maxStreams} clients follow events already: close one, or try again later`,
          { status: 429 },
        )
      }
      open += 1
      streams.set(open)
      const stream = createEventStream({ ...options, onDrop: (count) => dropped.inc(count) })
      let unfollow: (() => void) | undefined
      stream.readable.once('close', () => {
        open -= 1
        streams.set(open)
        unfollow?.()
      })
      try {
        const end = await feeds.follow(definition, (events) => {
          const matching = query === null ? events : events.filter((event) => matchQuery(query, event))
          stream.push(matching.map((event) => JSON.stringify(presentEvent(definition, event))))
        })
        if (stream.readable.destroyed) end()
        else unfollow = end
      } catch (error) {
        stream.readable.destroy()
        throw error
      }
      return stream.readable
    },
  }
}
