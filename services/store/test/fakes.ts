import type { ClickHouse, Insert } from '@margay/kit/clickhouse'
import { MargayError } from '@margay/kit/errors'
import type { ConsumeOptions, EventLog, LogRecord, StoredRecord } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { flow, topicOf } from '@margay/schemas'
import type { Ledger } from '../src/ledger.ts'
import type { Unit } from '../src/unit.ts'

/** A reporter that counts nothing: registering real metrics for each of thousands of short lives takes seconds. */
export const reporter = (): Reporter => {
  const metric = { inc() {}, set() {}, observe() {}, startTimer: () => () => {} }
  const make = () => metric
  return {
    counter: make,
    gauge: make,
    histogram: make,
    sampled: () => () => {},
    log: { info() {} },
  } as unknown as Reporter
}
export const topic = topicOf(flow)
export const time = Date.UTC(2026, 0, 10, 12)

/** A record of the flow topic whose lines are given. */
export function aRecord(
  offset: number,
  lines: readonly (string | object)[],
  headers: Record<string, string> = {},
): StoredRecord {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
  return { topic, partition: 0, offset, timestamp: time + offset, key: null, value: Buffer.from(text), headers }
}

/** Stores the rows of each token once, as ClickHouse does; a line with `poison` is refused, and the whole insert with it. */
export interface FakeClickHouse extends ClickHouse {
  readonly rows: { num_flows: number; log_offset: number; log_index: number }[]
  readonly inserts: { token: string; rows: number }[]
  /** Thrown by the next inserts, before or after the rows are stored. */
  failing: { readonly error: () => Error; readonly when: 'before' | 'after'; left: number } | null
}

export function createFakeClickHouse(): FakeClickHouse {
  const tokens = new Set<string>()
  const self = {
    name: 'fake clickhouse',
    rows: [] as FakeClickHouse['rows'],
    inserts: [] as FakeClickHouse['inserts'],
    failing: null as FakeClickHouse['failing'],
    async insert({ body, token = '' }: Insert) {
      const fails = self.failing !== null && self.failing.left > 0 ? self.failing : null
      if (fails !== null) fails.left -= 1
      if (fails?.when === 'before') throw fails.error()
      const lines = body.toString().split('\n')
      if (lines.some((line) => line.includes('poison')))
        throw new MargayError('CLICKHOUSE_REFUSED', 'refused', {
          details: { clickhouseCode: 27, clickhouseName: 'X', data: true },
        })
      if (!tokens.has(token)) {
        tokens.add(token)
        self.inserts.push({ token, rows: lines.length })
        for (const line of lines) self.rows.push(JSON.parse(line))
      }
      if (fails?.when === 'after') throw fails.error()
    },
  }
  return self as unknown as FakeClickHouse
}

export const unavailable = () => new MargayError('CLICKHOUSE_UNAVAILABLE', 'no answer', { details: {} })

/** A log of one partition whose consumer the test drives by hand. */
export interface FakeLog extends EventLog {
  readonly dead: LogRecord[]
  consumer: ConsumeOptions | null
  readonly paused: boolean
}

export function createFakeLog(records: readonly StoredRecord[]): FakeLog {
  const self = {
    name: 'fake log',
    dead: [] as LogRecord[],
    consumer: null as ConsumeOptions | null,
    paused: false,
    async append(more: readonly LogRecord[]) {
      self.dead.push(...more)
      return []
    },
    async consume(options: ConsumeOptions) {
      self.consumer = options
      return {
        pause: () => {
          self.paused = true
        },
        resume: () => {
          self.paused = false
        },
        close: async () => {},
      }
    },
    read: async (from: { offset: number }, limit: number) =>
      records.filter((record) => record.offset >= from.offset).slice(0, limit),
  }
  return self as unknown as FakeLog
}

/** A ledger in memory that outlives the process that the test plays. */
export function createFakeLedger(): Ledger {
  let all: Unit[] = []
  return {
    name: 'fake ledger',
    units: () => all,
    async begin(unit) {
      all = [...all.filter((other) => other.last < unit.first), unit]
    },
    forget(_topic, _partition, before) {
      all = all.filter((unit) => unit.last >= before)
    },
  }
}
