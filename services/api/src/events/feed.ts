import { linesOf } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { type EventDefinition, topicOf } from '@margay/schemas'

/** Gets new events of a data set. */
export type FeedListener = (events: readonly object[]) => void

/** New events of any data set, as they reach the log. */
export interface Feeds extends Component {
  /** Calls the listener with events that are written from now on; returns a function that ends it. */
  follow(definition: EventDefinition, listener: FeedListener): Promise<() => void>
}

interface Feed {
  readonly listeners: Set<FeedListener>
  readonly tail: Promise<{ close(): Promise<void> }>
}

/** Follows each topic once, however many clients listen, and only while one does. */
export function createFeeds(deps: { readonly log: EventLog; readonly reporter: Reporter }): Feeds {
  const feeds = new Map<string, Feed>()
  const unreadable = deps.reporter.counter('feed_events_unreadable_total', 'events of the log that are not JSON')

  function open(topic: string): Feed {
    const listeners = new Set<FeedListener>()
    const tail = deps.log.tail({
      topics: [topic],
      from: 'latest',
      handle({ records }) {
        if (listeners.size === 0) return
        const events = records.flatMap((record) => linesOf(record).flatMap(parse))
        for (const listener of listeners) listener(events)
      },
    })
    return { listeners, tail }
  }

  function parse(line: string): object[] {
    try {
      return [JSON.parse(line) as object]
    } catch {
      unreadable.inc()
      return []
    }
  }

  async function close(topic: string, feed: Feed): Promise<void> {
    feeds.delete(topic)
    // A tail that never opened has nothing to close, and whoever followed was told.
    const tail = await feed.tail.catch(() => null)
    await tail?.close()
  }

  return {
    name: 'feeds',
    async follow(definition, listener) {
      const topic = topicOf(definition)
      const feed = feeds.get(topic) ?? open(topic)
      feeds.set(topic, feed)
      feed.listeners.add(listener)
      try {
        await feed.tail
      } catch (error) {
        feeds.delete(topic)
        throw error
      }
      return () => {
        feed.listeners.delete(listener)
        if (feed.listeners.size === 0 && feeds.get(topic) === feed) void close(topic, feed)
      }
    },
    async stop() {
      await Promise.all([...feeds].map(([topic, feed]) => close(topic, feed)))
    },
  }
}
