import { MargayError } from '@margay/kit/errors'
import type { Batch, EventLog, LogRecord, Position, StoredRecord, TailOptions } from '@margay/kit/event-log'

/** An event log in memory with one partition for each topic, for tests of what stands on it. */
export interface MemoryLog extends EventLog {
  records(topic: string): readonly StoredRecord[]
  /** Makes appends reject from now on: `before` anything is written, or `after` (the caller does not learn that it was). */
  fail(when: 'before' | 'after' | 'never'): void
  /** Says where a group is, as its consumers would. */
  commit(group: string, topic: string, offset: number): void
}

/** Makes an empty log; `now` gives the timestamps of records. */
export function createMemoryLog(now: () => number = Date.now): MemoryLog {
  const topics = new Map<string, StoredRecord[]>()
  const commits = new Map<string, number>()
  const tails = new Set<{ readonly options: TailOptions; readonly next: Map<string, number> }>()
  let failing: 'before' | 'after' | 'never' = 'never'
  const of = (topic: string) => {
    const records = topics.get(topic) ?? []
    topics.set(topic, records)
    return records
  }
  const unavailable = () => new MargayError('LOG_UNAVAILABLE', 'the log does not answer: this test says so')

  async function pump(tail: { readonly options: TailOptions; readonly next: Map<string, number> }): Promise<void> {
    for (const topic of tail.options.topics) {
      const records = of(topic).slice(tail.next.get(topic) ?? 0)
      tail.next.set(topic, of(topic).length)
      const batch: Batch = { topic, partition: 0, records }
      if (records.length > 0) await tail.options.handle(batch)
    }
  }

  return {
    name: 'memory log',
    records: (topic) => of(topic),
    fail(when) {
      failing = when
    },
    commit: (group, topic, offset) => {
      commits.set(`${group} ${topic}`, offset)
    },
    async createTopics(specs) {
      for (const spec of specs) of(spec.name)
    },
    async append(records: readonly LogRecord[]): Promise<Position[]> {
      if (failing === 'before') throw unavailable()
      const positions = records.map((record) => {
        const stored = of(record.topic)
        const position = { topic: record.topic, partition: 0, offset: stored.length }
        stored.push({
          ...position,
          timestamp: now(),
          key: record.key,
          value: record.value,
          headers: record.headers ?? {},
        })
        return position
      })
      for (const tail of tails) await pump(tail)
      if (failing === 'after') throw unavailable()
      return positions
    },
    async tail(options) {
      const { from } = options
      const start = (topic: string) => {
        if (from === 'earliest') return 0
        if (from === 'latest') return of(topic).length
        const first = of(topic).findIndex((record) => record.timestamp >= from.time)
        return first < 0 ? of(topic).length : first
      }
      const tail = { options, next: new Map(options.topics.map((topic) => [topic, start(topic)])) }
      tails.add(tail)
      await pump(tail)
      options.caughtUp?.()
      return {
        async close() {
          tails.delete(tail)
        },
      }
    },
    async consume() {
      throw new Error('the memory log has no consumers')
    },
    read: async (from, limit) => of(from.topic).slice(from.offset, from.offset + limit),
    offsets: async (topic) => [{ partition: 0, earliest: 0, next: of(topic).length }],
    async offsetsAt(topic, time) {
      const first = of(topic).findIndex((record) => record.timestamp >= time)
      return [{ partition: 0, offset: first < 0 ? of(topic).length : first }]
    },
    async committed(group, topic) {
      const offset = commits.get(`${group} ${topic}`)
      return offset === undefined ? [] : [{ partition: 0, offset }]
    },
    async seek(group, position) {
      commits.set(`${group} ${position.topic}`, position.offset)
    },
  }
}
