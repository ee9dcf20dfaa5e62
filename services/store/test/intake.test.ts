import type { StoredRecord } from '@margay/kit/event-log'
import { flow } from '@margay/schemas'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { aFlow } from '../../../test/harness/flow.ts'
import { createIntake, type IntakeConfig } from '../src/intake.ts'
import type { Ledger } from '../src/ledger.ts'
import { createWriter } from '../src/writer.ts'
import {
  aRecord,
  createFakeClickHouse,
  createFakeLedger,
  createFakeLog,
  type FakeClickHouse,
  type FakeLog,
  reporter,
  time,
  topic,
  unavailable,
} from './fakes.ts'

const config: IntakeConfig = { batchRows: 10, batchBytes: 1e9, batchIntervalMs: 0, maxInFlightBytes: 4e9 }

describe('the intake', () => {
  let ledger: Ledger
  let log: FakeLog
  let clickhouse: FakeClickHouse
  beforeEach(() => {
    ledger = createFakeLedger()
    clickhouse = createFakeClickHouse()
  })

  /** A store process: it knows what the ledger and the log know. */
  async function begin(records: readonly StoredRecord[], more: Partial<IntakeConfig> = {}) {
    log = createFakeLog(records)
    const deps = { reporter: reporter(), now: () => time }
    // Its clock does not move: patience of -1 means one attempt.
    const writer = createWriter({ patienceMs: -1 }, { ...deps, clickhouse })
    const intake = createIntake({ ...config, ...more }, { ...deps, log, ledger, writer, definitions: [flow] })
    await intake.start?.()
    const give = (...batch: StoredRecord[]) =>
      log.consumer?.handle({ topic, partition: 0, records: batch }) ?? Promise.reject(new Error('not started'))
    return { intake, give }
  }

  const places = () => clickhouse.rows.map((row) => `${row.log_offset}.${row.log_index}`)

  it('stores a batch as units of bounded size and says how far it came', async () => {
    const records = Array.from({ length: 25 }, (_, i) => aRecord(i, [aFlow()]))
    const { intake, give } = await begin(records)
    await give(...records)
    expect(clickhouse.inserts.map((insert) => insert.rows)).toEqual([10, 10, 5])
    expect(intake.storedAt.get(topic)).toBe(time + 24)
    expect(intake.health?.()).toEqual({ state: 'ok' })
  })

  it('sends what cannot be stored to the dead letters and stores the rest', async () => {
    const record = aRecord(0, [aFlow(), 'not json', { ...aFlow(), source_name: 'poison' }, aFlow()])
    const { give } = await begin([record])
    await give(record)
    expect(places()).toEqual(['0.0', '0.3'])
    expect(log.dead.map((letter) => [letter.key, letter.headers?.reason])).toEqual([
      ['0/0/1', 'json'],
      ['0/0/2', 'refused'],
    ])
  })

  it('does not let the group move on while ClickHouse is away, says so, and goes on by itself', async () => {
    const record = aRecord(0, [aFlow()])
    const { intake, give } = await begin([record])
    clickhouse.failing = { error: unavailable, when: 'after', left: 1 }
    await expect(give(record)).rejects.toMatchObject({ code: 'CLICKHOUSE_UNAVAILABLE' })
    expect(intake.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('no answer') })
    await give(record)
    expect(places()).toEqual(['0.0'])
    expect(intake.health?.()).toEqual({ state: 'ok' })
  })

  it('pauses the log when its budget is used up and goes on when there is room', async () => {
    const records = [aRecord(0, [aFlow()]), aRecord(1, [aFlow()])]
    const size = records[0]?.value?.length as number
    const { give } = await begin(records, { maxInFlightBytes: size + 10, batchBytes: size })
    const handled = give(records[0] as StoredRecord)
    expect(log.paused).toBe(true)
    await handled
    expect(log.paused).toBe(false)
  })

  it('waits for more when little came, unless it is told to end', async () => {
    const record = aRecord(0, [aFlow()])
    const { intake, give } = await begin([record], { batchIntervalMs: 60_000 })
    const handled = give(record)
    await expect.poll(places).toEqual(['0.0'])
    await intake.stop?.()
    await handled
  })

  it('does not wait for more while it is behind', async () => {
    const records = [0, 1].map((offset) => ({ ...aRecord(offset, [aFlow()]), timestamp: time - 120_000 + offset }))
    const { give } = await begin(records, { batchIntervalMs: 60_000 })
    await give(records[0] as StoredRecord)
    await give(records[1] as StoredRecord)
    expect(places()).toEqual(['0.0', '1.0'])
  })

  it('has every event exactly once, wherever it dies and however batches are dealt', async () => {
    const scenario = fc.record({
      records: fc.integer({ min: 1, max: 30 }),
      deals: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
      limits: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
      fates: fc.array(fc.constantFrom('before', 'after', 'uncommitted', 'fine', 'fine'), { maxLength: 20 }),
      poison: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ records: count, deals, limits, fates, poison }) => {
        ledger = createFakeLedger()
        clickhouse = createFakeClickHouse()
        const records = Array.from({ length: count }, (_, i) =>
          aRecord(i, [aFlow(), i % 5 === 0 && poison ? aFlow({ source_name: 'poison' }) : aFlow()]),
        )
        let committed = 0
        let turn = 0
        let life = 0
        let process = await begin(records, { batchRows: limits[0] as number })
        while (committed < count) {
          const fate = fates[turn] ?? 'fine'
          const batch = records.slice(committed, committed + (deals[turn % deals.length] as number))
          turn += 1
          clickhouse.failing =
            fate === 'before' || fate === 'after' ? { error: unavailable, when: fate, left: 1 } : null
          const handled = await process.give(...batch).then(
            () => true,
            () => false,
          )
          if (handled && fate !== 'uncommitted') committed += batch.length
          // Not every failure ends the process: sometimes the same one is given the batch again.
          if (fate !== 'fine' && turn % 3 !== 0) {
            life += 1
            process = await begin(records, { batchRows: limits[life % limits.length] as number })
          }
        }
        const expected = records.flatMap((_, i) => (i % 5 === 0 && poison ? [`${i}.0`] : [`${i}.0`, `${i}.1`]))
        expect(places().sort()).toEqual(expected.sort())
      }),
      { numRuns: 80 },
    )
  })
})
