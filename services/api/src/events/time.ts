import { MargayError } from '@margay/kit/errors'

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/**
 * Unix milliseconds of a moment as URLs carry it: RFC 3339, `now`, `now-15m`, `now-1h30m`, `now-7d`, or unix milliseconds.
 * Throws REQUEST_INVALID on other text; `name` is the parameter's, for the message.
 */
export function parseMoment(text: string, name: string, now: number): number {
  if (/^\d{10,16}$/.test(text)) return Number(text)
  const relative = /^now(?:([+-])((?:\d+(?:ms|s|m|h|d|w))+))?$/.exec(text.trim())
  if (relative) {
    let distance = 0
    for (const [, amount, unit] of (relative[2] ?? '').matchAll(/(\d+)(ms|s|m|h|d|w)/g)) {
      distance += Number(amount) * (units[unit as string] as number)
    }
    return now + (relative[1] === '-' ? -distance : distance)
  }
  // A query string turns the + of an offset into a space.
  const absolute = text.replace(/(?<=T\S+) (?=\d\d:\d\d$)/, '+')
  if (/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/i.test(absolute)) {
    const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(absolute.slice(10))
      ? absolute
      : `${absolute}${absolute.length > 10 ? 'Z' : ''}`
    const time = Date.parse(zoned)
    if (!Number.isNaN(time)) return time
  }
  throw new MargayError(
    'REQUEST_INVALID',
    `${name}: cannot read ${JSON.stringify(text)} as a time: write 2026-01-31T12:00:00Z or now-15m`,
    { status: 400 },
  )
}
