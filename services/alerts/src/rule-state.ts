import type { ErrorCondition, Rule } from './rules.ts'
import type { Window } from './windows.ts'

/** What is remembered of an alert over a restart. */
export interface RuleState {
  readonly name: string
  readonly revision: string
  readonly lastUpdate: number
  /** End of the last window looked at. */
  readonly lastEnd: number
  readonly lastExecuted: number | null
  readonly lastEvent: number | null
  readonly errorConditions: readonly ErrorCondition[]
}

/** GlobalAlert.status (spec 1.3), times in RFC 3339. */
export interface AlertStatus {
  readonly name: string
  readonly uid: string
  readonly status: {
    readonly active: boolean
    readonly healthy: boolean
    readonly lastUpdate?: string
    readonly lastExecuted?: string
    readonly lastEvent?: string
    readonly errorConditions: readonly ErrorCondition[]
  }
}

/** The status of an alert, from what is remembered of it and what went wrong since. */
export function statusOf(rule: Rule, known: RuleState | undefined, failure: ErrorCondition | undefined): AlertStatus {
  const problem = rule.alert === null ? rule.problem : failure
  const text = (time: number | null | undefined) =>
    time === null || time === undefined ? undefined : new Date(time).toISOString()
  const times = Object.entries({
    lastUpdate: text(known?.lastUpdate),
    lastExecuted: text(known?.lastExecuted),
    lastEvent: text(known?.lastEvent),
  }).filter(([, time]) => time !== undefined)
  return {
    name: rule.name,
    uid: rule.uid,
    status: {
      active: rule.alert !== null,
      healthy: problem === undefined,
      ...Object.fromEntries(times),
      errorConditions: [...(problem === undefined ? [] : [problem]), ...(known?.errorConditions ?? [])],
    },
  }
}

/** Says which time was given up after an outage. */
export function skippedCondition({ from, to }: Window): ErrorCondition {
  const span = `${new Date(from).toISOString()} to ${new Date(to).toISOString()}`
  return { type: 'WindowsSkipped', message: `not evaluated, for it was too long ago: ${span}` }
}

/** Says that a run found more than it may raise. */
export function truncatedCondition(maxEvents: number): ErrorCondition {
  return {
    type: 'EventsTruncated',
    message: `more than ${maxEvents} events in one run; the rest was dropped: narrow the query or raise alerts.maxEventsPerRun`,
  }
}
