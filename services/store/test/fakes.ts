import type { ClickHouse, Insert } from '@margay/kit/clickhouse'
import { MargayError } from '@margay/kit/errors'
import type { ConsumeOptions, EventLog, LogRecord, StoredRecord } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { type FlowEvent, flow, topicOf } from '@margay/schemas'
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

/** A flow that can be stored; the members that a test is about are given. */
export function aFlow(members: Partial<FlowEvent> = {}): FlowEvent {
  return {
    cluster: 'c',
    host: 'node1',
    start_time: time - 10_000,
    end_time: time,
    action: 'allow',
    reporter: 'src',
    proto: 'tcp',
    source_ip: '10.0.0.1',
    source_port: null,
    source_name: '-',
    source_name_aggr: 'web-*',
    source_namespace: 'shop',
    source_type: 'wep',
    source_labels: ['app=web'],
    dest_ip: null,
    dest_port: 443,
    dest_name: '-',
    dest_name_aggr: 'pub',
    dest_namespace: '-',
    dest_type: 'net',
    dest_labels: [],
    dest_service_namespace: '-',
    dest_service_name: '-',
    dest_service_port: '-',
    dest_domains: [],
    enforced_policies: [],
    pending_policies: [],
    bytes_in: 1,
    bytes_out: 2,
    packets_in: 3,
    packets_out: 4,
    num_flows: 1,
    num_flows_started: 1,
    num_flows_completed: 0,
    ...members,
  } as FlowEvent
}

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
