import { dueWindows } from '@margay/alerts/windows'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const minute = 60_000

describe('the windows that are due', () => {
  it('are none before a period has passed', () => {
    expect(dueWindows({ periodMs: minute, lookbackMs: minute }, 0, minute - 1).windows).toEqual([])
  })

  it('are one of the length of the lookback when the alert runs on time', () => {
    expect(dueWindows({ periodMs: 5 * minute, lookbackMs: 10 * minute }, 100 * minute, 105 * minute).windows).toEqual([
      { from: 95 * minute, to: 105 * minute },
    ])
  })

  it('collapse into one when what was missed lies within the lookback', () => {
    const due = dueWindows({ periodMs: minute, lookbackMs: 10 * minute }, 100 * minute, 108.5 * minute)
    expect(due.windows).toEqual([{ from: 98 * minute, to: 108 * minute }])
  })

  it('go back without a gap to the last one after an outage', () => {
    const due = dueWindows({ periodMs: minute, lookbackMs: 10 * minute }, 100 * minute, 125 * minute)
    expect(due.windows).toEqual([
      { from: 95 * minute, to: 105 * minute },
      { from: 105 * minute, to: 115 * minute },
      { from: 115 * minute, to: 125 * minute },
    ])
  })

  it('say what is given up when an outage was too long', () => {
    const due = dueWindows({ periodMs: minute, lookbackMs: minute }, 0, 1000 * minute)
    expect(due.windows).toHaveLength(240)
    expect(due.skipped).toEqual({ from: 0, to: 760 * minute })
  })

  it('cover every moment after the last window once at least, and end on a whole number of periods', () => {
    const span = fc.integer({ min: 1, max: 60 }).map((minutes) => minutes * minute)
    fc.assert(
      fc.property(span, fc.nat(20), fc.nat(1e9), fc.nat(3_600_000 * 3), (periodMs, more, lastEnd, passed) => {
        const lookbackMs = periodMs + more * minute
        const { windows, skipped } = dueWindows({ periodMs, lookbackMs }, lastEnd, lastEnd + passed)
        let covered = skipped?.to ?? lastEnd
        for (const { from, to } of windows) {
          expect(from).toBeLessThanOrEqual(covered)
          expect(to - from).toBe(lookbackMs)
          covered = to
        }
        expect(covered).toBe(lastEnd + Math.floor(passed / periodMs) * periodMs)
      }),
    )
  })
})
