import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLedger, type Ledger } from '../src/ledger.ts'
import type { Unit } from '../src/unit.ts'

const unit = (first: number, last: number, partition = 0): Unit => ({ topic: 't', partition, first, last, at: first })

describe('the ledger', () => {
  let dir: string
  const ledgers: Ledger[] = []
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'margay-ledger-'))
  })
  afterEach(async () => {
    for (const ledger of ledgers.splice(0)) await ledger.stop?.()
    rmSync(dir, { recursive: true })
  })

  async function opened() {
    const ledger = createLedger(dir)
    ledgers.push(ledger)
    await ledger.start?.()
    return ledger
  }

  it('knows after a crash what was begun before it', async () => {
    const ledger = await opened()
    await Promise.all([ledger.begin(unit(0, 4)), ledger.begin(unit(0, 9, 1)), ledger.begin(unit(5, 7))])
    const next = await opened() // the first was never stopped
    expect(next.units('t', 0)).toEqual([unit(0, 4), unit(5, 7)])
    expect(next.units('t', 1)).toEqual([unit(0, 9, 1)])
    expect(next.units('t', 2)).toEqual([])
  })

  it('ignores a line that was cut off, and goes on after it', async () => {
    const ledger = await opened()
    await ledger.begin(unit(0, 4))
    appendFileSync(join(dir, 'units.ndjson'), '{"topic":"t","parti')
    const next = await opened()
    await next.begin(unit(5, 6))
    expect((await opened()).units('t', 0)).toEqual([unit(0, 4), unit(5, 6)])
  })

  it('forgets what the group has moved past', async () => {
    const ledger = await opened()
    await ledger.begin(unit(0, 4))
    await ledger.begin(unit(5, 7))
    ledger.forget('t', 0, 5)
    expect(ledger.units('t', 0)).toEqual([unit(5, 7)])
  })

  it('lets a log that begins anew replace the old one', async () => {
    const ledger = await opened()
    await ledger.begin(unit(100, 120))
    await ledger.begin(unit(0, 4))
    expect((await opened()).units('t', 0)).toEqual([unit(0, 4)])
  })

  it('does not grow without end', async () => {
    const ledger = await opened()
    for (let at = 0; at < 12; at += 1) {
      await Promise.all(Array.from({ length: 200 }, (_, i) => ledger.begin(unit(at * 200 + i, at * 200 + i))))
      ledger.forget('t', 0, at * 200 + 199)
    }
    await ledger.stop?.()
    expect(readFileSync(join(dir, 'units.ndjson')).length).toBeLessThan(60_000)
    expect((await opened()).units('t', 0).at(-1)).toEqual(unit(2399, 2399))
  })
})
