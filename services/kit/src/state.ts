import type { Component } from './component.ts'
import type { EventLog, LogRecord } from './event-log.ts'

/**
 * What a service must remember over a restart, kept in a compacted topic of the event log and held in memory.
 * The log takes records of several topics all or none, so a change of state and the events that it is about
 * are written as one: no crash can leave one without the other.
 */
export interface KeyedState extends Component {
  get<T>(key: string): T | undefined
  /** Keys that begin with `prefix`, in the order in which they were first written. */
  keys(prefix: string): string[]
  /**
   * Writes changes (undefined deletes a key) together with further records, all or none, then shows them to readers.
   * When the log rejects, it may have taken them nevertheless: the state is read again before the next use, see `sync`.
   */
  write(changes: ReadonlyMap<string, unknown>, records?: readonly LogRecord[]): Promise<void>
  /** Reads the whole topic again if a write failed since the last read; call it before deciding upon the state. */
  sync(): Promise<void>
}

/** Makes the state of a service in a topic of its own, which is created at start if it does not exist. */
export function createState(topic: string, deps: { readonly log: EventLog }): KeyedState {
  const { log } = deps
  let values = new Map<string, unknown>()
  let isSure = false
  /** Writes and reads of the topic take turns: a read must not put back what a write has just changed. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const result = turn.then(action)
    turn = result.catch(() => {})
    return result
  }

  async function load(): Promise<void> {
    const read = new Map<string, unknown>()
    let finish: () => void = () => {}
    const caughtUp = new Promise<void>((resolve) => {
      finish = resolve
    })
    const tail = await log.tail({
      topics: [topic],
      from: 'earliest',
      handle(batch) {
        for (const record of batch.records) {
          if (record.key === null) continue
          if (record.value === null) read.delete(record.key)
          else read.set(record.key, JSON.parse(record.value.toString()))
        }
      },
      caughtUp: finish,
    })
    await caughtUp
    await tail.close()
    values = read
    isSure = true
  }

  return {
    name: `state ${topic}`,
    async start() {
      await log.createTopics([{ name: topic, partitions: 1, retentionMs: -1, compacted: true }])
      await inTurn(load)
    },
    get: <T>(key: string) => values.get(key) as T | undefined,
    keys: (prefix) => [...values.keys()].filter((key) => key.startsWith(prefix)),
    write: (changes, records = []) =>
      inTurn(async () => {
        const own = [...changes].map(([key, value]) => ({
          topic,
          key,
          value: value === undefined ? null : Buffer.from(JSON.stringify(value)),
        }))
        try {
          await log.append([...records, ...own])
        } catch (error) {
          isSure = false
          throw error
        }
        for (const [key, value] of changes) {
          if (value === undefined) values.delete(key)
          else values.set(key, value)
        }
      }),
    sync: () =>
      inTurn(async () => {
        if (!isSure) await load()
      }),
  }
}
