import { MargayError } from '@margay/kit/errors'
import { flow } from '@margay/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aFlow } from '../../../test/harness/flow.ts'
import { decode } from '../src/decode.ts'
import { createWriter } from '../src/writer.ts'
import { aRecord, createFakeClickHouse, reporter, time, topic, unavailable } from './fakes.ts'

const unit = { topic, partition: 0, first: 1, last: 1, at: 1 }
const go = { end: new AbortController().signal, cut: new AbortController().signal }

function rowsWith(bad: ReadonlySet<number>, count: number) {
  const flows = Array.from({ length: count }, (_, i) =>
    aFlow({ num_flows: i, source_name: bad.has(i) ? 'poison' : 'x' }),
  )
  return decode(flow, aRecord(1, flows), time).rows
}

function writer(patienceMs = 5000) {
  const clickhouse = createFakeClickHouse()
  return { clickhouse, write: createWriter({ patienceMs }, { clickhouse, reporter: reporter() }).write }
}

describe('the writer', () => {
  it('stores every row but the refused ones, each once, also when it has to do it again', async () => {
    const cases = fc.uniqueArray(fc.nat(49), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(cases, async (list) => {
        const bad = new Set(list)
        const { clickhouse, write } = writer()
        for (let i = 0; i < 2; i += 1) {
          const refusals = await write(flow, unit, rowsWith(bad, 50), go)
          expect(new Set(refusals.map(({ row }) => row.index))).toEqual(bad)
          expect(refusals.every(({ detail }) => detail === 'ClickHouse: X (code 27)')).toBe(true)
        }
        const stored = clickhouse.rows.map((row) => row.num_flows).sort((a, b) => a - b)
        expect(stored).toEqual(Array.from({ length: 50 }, (_, i) => i).filter((i) => !bad.has(i)))
      }),
      { numRuns: 40 },
    )
  })

  it('inserts nothing for a unit without rows', async () => {
    const { clickhouse, write } = writer()
    expect(await write(flow, unit, [], go)).toEqual([])
    expect(clickhouse.inserts).toEqual([])
  })

  it('tries again under the same token while ClickHouse does not answer', async () => {
    const { clickhouse, write } = writer()
    clickhouse.failing = { error: unavailable, when: 'after', left: 2 }
    await write(flow, unit, rowsWith(new Set(), 3), go)
    expect(clickhouse.inserts).toEqual([{ token: `${topic}/0/1-1@1`, rows: 3 }])
  })

  it('gives the unit back after a while, so that the log can hand it out again', async () => {
    const { clickhouse, write } = writer(50)
    clickhouse.failing = { error: unavailable, when: 'before', left: 99 }
    await expect(write(flow, unit, rowsWith(new Set(), 3), go)).rejects.toMatchObject({
      code: 'CLICKHOUSE_UNAVAILABLE',
    })
  })

  it('does not blame the rows for what is not their fault', async () => {
    const { clickhouse, write } = writer(0)
    const error = () =>
      new MargayError('CLICKHOUSE_REFUSED', 'no such table', { details: { clickhouseCode: 60, data: false } })
    clickhouse.failing = { error, when: 'before', left: 99 }
    await expect(write(flow, unit, rowsWith(new Set(), 3), go)).rejects.toMatchObject({ code: 'CLICKHOUSE_REFUSED' })
    expect(clickhouse.rows).toEqual([])
  })

  it('stops trying when the store ends', async () => {
    const { clickhouse, write } = writer(60_000)
    clickhouse.failing = { error: unavailable, when: 'before', left: 99 }
    const ending = new AbortController()
    const writing = write(flow, unit, rowsWith(new Set(), 3), { ...go, end: ending.signal })
    ending.abort()
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' })
  })
})
