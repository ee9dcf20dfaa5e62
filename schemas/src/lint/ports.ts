import type { Ports } from '../policy/flat-policy.ts'

/** Ports as findings show them: `80, 443, 8000:8080, http`; empty for any. */
export function textOfPorts({ ranges, names }: Ports): string {
  return [...ranges.map(({ first, last }) => (first === last ? String(first) : `${first}:${last}`)), ...names].join(
    ', ',
  )
}

/** True when a port is one of them by number. */
export function holdsPort({ ranges }: Ports, port: number): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last)
}

/** True for any port. */
export function isAnyPort({ ranges, names }: Ports): boolean {
  return ranges.length + names.length === 0
}
