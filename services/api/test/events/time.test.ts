import { describe, expect, it } from 'vitest'
import { parseMoment } from '../../src/events/time.ts'

const now = Date.parse('2026-03-01T12:00:00Z')

describe('a moment in a URL', () => {
  it.each([
    ['now', '2026-03-01T12:00:00.000Z'],
    ['now-15m', '2026-03-01T11:45:00.000Z'],
    ['now-1h30m', '2026-03-01T10:30:00.000Z'],
    ['now-7d', '2026-02-22T12:00:00.000Z'],
    ['now-1w', '2026-02-22T12:00:00.000Z'],
    ['now+5s', '2026-03-01T12:00:05.000Z'],
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31T12:00:00.5+02:00', '2026-01-31T10:00:00.500Z'],
    ['2026-01-31T12:00:00 02:00', '2026-01-31T10:00:00.000Z'],
    ['2026-01-31 12:00', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['1772366400000', '2026-03-01T12:00:00.000Z'],
  ])('%s is %s', (text, expected) => {
    expect(new Date(parseMoment(text, 'from', now)).toISOString()).toBe(expected)
  })

  it.each(['', 'yesterday', 'now-', 'now-15', '15m', '2026-13-01', '2026-02-30T25:00:00Z', 'now-5y'])(
    '%s is none',
    (text) => {
      expect(() => parseMoment(text, 'from', now)).toThrow(/^from: cannot read/)
    },
  )
})
