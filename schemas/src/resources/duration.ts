const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}
const whole = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/
const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g

/** Reads a duration in Go's syntax (`1h15m`, `90s`; there is no day) into milliseconds; null when it is none. */
export function parseDuration(text: string): number | null {
  const match = whole.exec(text)
  if (match === null) return null
  let milliseconds = 0
  for (const [, number, unit] of (match[2] as string).matchAll(part))
    milliseconds += Number(number) * (units[unit as string] as number)
  return match[1] === '-' ? -milliseconds : milliseconds
}

/** As `parseDuration`, but throws a RangeError for text that is no duration. */
export function requireDuration(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds === null) throw new RangeError(`not a duration: ${JSON.stringify(text)}`)
  return milliseconds
}
