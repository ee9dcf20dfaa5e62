import type { Path } from './path.ts'

/** A problem whose place is still a list of steps, so that it can be looked up in the text. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly at: Path
  /** Stable name of the rule broken. */
  readonly rule: string
  readonly message: string
}

/** Collects findings; `error` and `warning` add one. */
export interface Report {
  readonly findings: Finding[]
  error(at: Path, rule: string, message: string): void
  warning(at: Path, rule: string, message: string): void
}

/** Makes an empty report. */
export function createReport(): Report {
  const findings: Finding[] = []
  return {
    findings,
    error: (at, rule, message) => void findings.push({ severity: 'error', at, rule, message }),
    warning: (at, rule, message) => void findings.push({ severity: 'warning', at, rule, message }),
  }
}
