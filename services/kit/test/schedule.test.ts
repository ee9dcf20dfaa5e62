import { dueBetween, nextRuns, parseCron, previousRun } from '@margay/kit/schedule'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const at = (text: string) => Date.parse(text)
const iso = (times: readonly number[]) => times.map((time) => new Date(time).toISOString().slice(0, 16))

describe('a cron schedule', () => {
  it.each([
    ['*/30 * * * *', '2026-03-01T10:05Z', ['2026-03-01T10:30', '2026-03-01T11:00', '2026-03-01T11:30']],
    ['15 1 * * *', '2026-03-01T10:05Z', ['2026-03-02T01:15', '2026-03-03T01:15', '2026-03-04T01:15']],
    ['0 3 * * 1', '2026-03-01T10:05Z', ['2026-03-02T03:00', '2026-03-09T03:00', '2026-03-16T03:00']],
    ['0 0 13 * 5', '2026-11-10T00:00Z', ['2026-11-13T00:00', '2026-11-20T00:00', '2026-11-27T00:00']],
    ['0 0 29 2 *', '2026-01-01T00:00Z', ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00']],
    ['5/20 22-23 * jan,DEC sun', '2026-11-01T00:00Z', ['2026-12-06T22:05', '2026-12-06T22:25', '2026-12-06T22:45']],
    ['0 0 * * 7', '2026-11-01T00:00Z', ['2026-11-08T00:00', '2026-11-15T00:00', '2026-11-22T00:00']],
    ['0 0 */10 * 1', '2026-11-01T00:00Z', ['2026-11-02T00:00', '2026-11-09T00:00', '2026-11-11T00:00']],
    ['@hourly', '2026-11-01T00:00Z', ['2026-11-01T01:00', '2026-11-01T02:00', '2026-11-01T03:00']],
  ])('%s runs next after %s at the right times', (text, from, expected) => {
    expect(iso(nextRuns(text, at(from), 3))).toEqual(expected)
  })

  it('crosses a leap day between centuries and gives up on a date that never comes', () => {
    expect(iso(nextRuns('0 0 29 2 *', at('2096-03-01T00:00Z'), 1))).toEqual(['2104-02-29T00:00'])
    expect(nextRuns('0 0 30 2 *', at('2026-01-01T00:00Z'), 1)).toEqual([])
    expect(previousRun('0 0 30 2 *', at('2026-01-01T00:00Z'))).toBeNull()
  })

  it('excludes the start and includes the end of a span', () => {
    expect(iso(dueBetween('0 * * * *', at('2026-01-01T00:00Z'), at('2026-01-01T02:00Z')))).toEqual([
      '2026-01-01T01:00',
      '2026-01-01T02:00',
    ])
    expect(dueBetween('* * * * *', 0, 10 * 86_400_000, 5)).toHaveLength(5)
  })

  it('misses nothing and repeats nothing, however a span is cut in two', () => {
    const field = fc.constantFrom('*', '*/7', '0', '3,9', '5-8')
    fc.assert(
      fc.property(
        fc.tuple(field, field).map(([minute, hour]) => `${minute} ${hour} * * *`),
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        fc.integer({ min: 0, max: 172_800_000 }),
        fc.float({ min: 0, max: 1, noNaN: true }),
        (text, from, span, share) => {
          const cron = parseCron(text)
          const cut = from + Math.floor(span * share)
          expect([...dueBetween(cron, from, cut), ...dueBetween(cron, cut, from + span)]).toEqual(
            dueBetween(cron, from, from + span),
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  it('knows the run before a run', () => {
    const [first, second] = nextRuns('7 */5 1,15 * *', at('2026-05-09T11:11Z'), 2) as [number, number]
    expect(previousRun('7 */5 1,15 * *', second - 1)).toBe(first)
    expect(previousRun('7 */5 1,15 * *', second)).toBe(second)
  })

  it.each([
    '',
    '* * * *',
    '60 * * * *',
    '* * 0 * *',
    '* * * 13 *',
    '*/0 * * * *',
    '9-5 * * * *',
    'a * * * *',
    '1,,2 * * * *',
  ])('refuses %j and says why', (text) => {
    expect(() => parseCron(text)).toThrow(expect.objectContaining({ code: 'SCHEDULE_INVALID' }))
  })
})
