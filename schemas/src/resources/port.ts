/** A port of a rule: a range (a single port is a range of one) or the name of a port that endpoints declare. */
export type PortSpec =
  | { readonly kind: 'range'; readonly first: number; readonly last: number }
  | { readonly kind: 'name'; readonly name: string }

/** Reads `80`, `"80"`, `"8000:8080"` or `"http"`; does not check limits (see portProblem). */
export function readPort(port: string | number): PortSpec {
  if (typeof port === 'number') return { kind: 'range', first: port, last: port }
  const range = /^(\d+)(?::(\d+))?$/.exec(port)
  if (range === null) return { kind: 'name', name: port }
  const first = Number(range[1])
  return { kind: 'range', first, last: range[2] === undefined ? first : Number(range[2]) }
}

/** What is wrong with a port of a rule, or null. */
export function portProblem(port: string | number): string | null {
  const read = readPort(port)
  if (read.kind === 'name') {
    return /^[A-Za-z0-9_.-]{1,128}$/.test(read.name) && !read.name.includes(':')
      ? null
      : `port ${JSON.stringify(port)} must be a number, a range first:last or a name`
  }
  if (read.first < 1 || read.last > 65535) return `port ${port} must be from 1 to 65535`
  return read.first <= read.last ? null : `range ${port} ends before it begins`
}
