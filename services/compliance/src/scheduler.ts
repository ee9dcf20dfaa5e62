import { encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import { nextRuns } from '@margay/kit/schedule'
import type { KeyedState } from '@margay/kit/state'
import { report as definition, type ReportEvent } from '@margay/schemas'
import type { Generator } from './generator.ts'
import { builtInReport, type GlobalReport, readGlobalReport } from './global-report.ts'
import { dueIntervals, type Interval } from './intervals.ts'
import { reportTypes } from './report-type.ts'

/** One report that was to be made, times in RFC 3339. */
interface Job {
  readonly start: string
  readonly end: string
  readonly job: { readonly name: string }
  readonly jobCompletionTime?: string
  readonly message?: string
}

/** GlobalReport.status (spec 3.4). */
interface ReportStatus {
  readonly lastScheduledReportJob?: Job
  readonly activeReportJobs: readonly Job[]
  readonly lastFailedReportJobs: readonly Job[]
  readonly lastSuccessfulReportJobs: readonly Job[]
}

/** What is remembered of a GlobalReport over a restart. */
interface Progress {
  /** Where the next interval begins, unix ms. */
  readonly next: number
  readonly last: Job | null
  readonly failed: readonly Job[]
  readonly succeeded: readonly Job[]
}

interface Condition {
  readonly type: string
  readonly message: string
}

/** How one GlobalReport is. */
export interface ReportOverview {
  readonly name: string
  readonly uid: string
  readonly suspended: boolean
  /** RFC 3339; absent without a schedule. */
  readonly nextEnd?: string
  readonly status: ReportStatus
  readonly errorConditions: readonly Condition[]
}

/** Makes reports when their intervals have ended, and when someone asks. */
export interface Scheduler extends Component {
  runDue(): Promise<void>
  /** Makes a report now and resolves with its id once the log has it, and if that is soon, once it can be read. Not part of the status. Throws a MargayError. */
  run(name: string, interval: Interval): Promise<{ id: string }>
  overview(): ReportOverview[]
}

const keptFailed = 3
const keptSucceeded = 2
const maxTries = 7
/** Intervals made up for in one go; the rest follows at once. */
const batch = 50
/** Troubles that pass by themselves and must not cost an interval. */
const passing = new Set(['REPORT_EVIDENCE_LATE', 'CLICKHOUSE_UNAVAILABLE', 'LOG_UNAVAILABLE'])

/** Makes the scheduler. */
export function createScheduler(
  config: { readonly cluster: string; readonly host: string; readonly startDelayMs: number },
  deps: {
    readonly resources: ResourceCache
    readonly state: KeyedState
    readonly generator: Generator
    readonly reporter: Reporter
    now(): number
    /** Resolves when a report just made can be read, or after a bounded wait. */
    readable(): Promise<unknown>
  },
): Scheduler {
  const { resources, state, generator, reporter, now } = deps
  const reports = reporter.counter('reports_total', 'reports made by cause and outcome', ['cause', 'outcome'])
  const troubles = new Map<string, Condition & { readonly tries: number; readonly retryAt: number }>()
  const active = new Map<string, Job>()
  const keyOf = (report: GlobalReport) => `report/${report.uid}`
  let hasEnded = false

  async function make(
    report: GlobalReport,
    interval: Interval,
    changes: ReadonlyMap<string, unknown>,
  ): Promise<ReportEvent> {
    const event = await generator.generate(report, interval)
    await state.sync()
    const blocks = encodeBlocks(definition, [event], { cluster: config.cluster, producer: `compliance/${config.host}` })
    try {
      await state.write(changes, blocks)
    } catch (cause) {
      throw (cause as MargayError).code === 'LOG_RECORD_TOO_LARGE' ? tooLarge(report.name, cause) : cause
    }
    reporter.log.info({ report: report.name, id: event.id, ...jobOf(report, interval) }, 'report made')
    return event
  }

  /** True when the interval is done with, made or given up. */
  async function makeScheduled(report: GlobalReport, interval: Interval): Promise<boolean> {
    const job = jobOf(report, interval)
    const before = progressOf(report)
    const done = { ...job, jobCompletionTime: new Date(now()).toISOString() }
    active.set(report.uid, job)
    try {
      const succeeded = [done, ...before.succeeded].slice(0, keptSucceeded)
      await make(report, interval, new Map([[keyOf(report), { ...before, next: interval.end, last: job, succeeded }]]))
      reports.inc({ cause: 'schedule', outcome: 'made' })
      troubles.delete(report.uid)
      return true
    } catch (error) {
      const type = error instanceof MargayError ? error.code : 'REPORT_FAILED'
      const tries = (troubles.get(report.uid)?.tries ?? 0) + (passing.has(type) ? 0 : 1)
      const message = messageOf(error)
      reporter.log.warn({ report: report.name, ...job, tries, error: message }, 'a report could not be made')
      reports.inc({ cause: 'schedule', outcome: 'failed' })
      troubles.set(report.uid, { type, message, tries, retryAt: now() + Math.min(300_000, 10_000 * 2 ** tries) })
      if (tries < maxTries) return false
      const failed = [{ ...done, message }, ...before.failed].slice(0, keptFailed)
      await state.write(new Map([[keyOf(report), { ...before, next: interval.end, last: job, failed }]]))
      troubles.delete(report.uid)
      return true
    } finally {
      active.delete(report.uid)
    }
  }

  /** A report that has not been seen before begins when its resource was made. */
  function progressOf(report: GlobalReport): Progress {
    return (
      state.get<Progress>(keyOf(report)) ?? { next: report.created ?? now(), last: null, failed: [], succeeded: [] }
    )
  }

  const listed = () => resources.list('globalreports').map(readGlobalReport)

  return {
    name: 'scheduler',
    async runDue() {
      for (const report of listed()) {
        const { schedule, suspend, reportType } = report.spec
        if (schedule === undefined || suspend === true || hasEnded) continue
        if (!reportTypes.has(reportType)) continue // told in its errorConditions; its intervals wait for a version that can
        if ((troubles.get(report.uid)?.retryAt ?? 0) > now()) continue
        if (state.get(keyOf(report)) === undefined) await state.write(new Map([[keyOf(report), progressOf(report)]]))
        try {
          const at = { now: now(), startDelayMs: config.startDelayMs }
          for (const interval of dueIntervals(schedule, progressOf(report).next, at, batch)) {
            if (hasEnded || !(await makeScheduled(report, interval))) break
          }
        } catch (error) {
          const type = error instanceof MargayError ? error.code : 'REPORT_FAILED'
          troubles.set(report.uid, { type, message: messageOf(error), tries: 0, retryAt: now() + 60_000 })
        }
      }
    },
    async run(name, interval) {
      const report = listed().find((each) => each.name === name) ?? builtInReport(name)
      if (report === null)
        throw new MargayError('REPORT_UNKNOWN', `there is no GlobalReport ${name}; apply one, or run policy-audit`, {
          status: 404,
        })
      try {
        const { id } = await make(report, interval, new Map())
        await deps.readable()
        reports.inc({ cause: 'demand', outcome: 'made' })
        return { id }
      } catch (error) {
        reports.inc({ cause: 'demand', outcome: 'failed' })
        throw error
      }
    },
    async stop() {
      hasEnded = true
    },
    overview: () =>
      listed().map((report) => {
        const { last, failed, succeeded, next } = progressOf(report)
        const job = active.get(report.uid)
        const end = nextEnd(report, next)
        return {
          name: report.name,
          uid: report.uid,
          suspended: report.spec.suspend === true,
          ...(end === undefined ? {} : { nextEnd: end }),
          status: {
            ...(last === null ? {} : { lastScheduledReportJob: last }),
            activeReportJobs: job === undefined ? [] : [job],
            lastFailedReportJobs: failed,
            lastSuccessfulReportJobs: succeeded,
          },
          errorConditions: conditionsOf(report, troubles.get(report.uid)),
        }
      }),
    health() {
      const [trouble] = troubles.values()
      return trouble === undefined
        ? { state: 'ok' }
        : { state: 'degraded', reason: `${trouble.type}: ${trouble.message}` }
    },
  }
}

function conditionsOf({ spec }: GlobalReport, trouble: Condition | undefined): Condition[] {
  const { reportType } = spec
  if (!reportTypes.has(reportType))
    return [{ type: 'REPORT_TYPE_UNSUPPORTED', message: `reports of type ${reportType} are not made by this version` }]
  return trouble === undefined ? [] : [{ type: trouble.type, message: trouble.message }]
}

function tooLarge(name: string, cause: unknown): MargayError {
  return new MargayError(
    'REPORT_EVIDENCE_TOO_LARGE',
    `report ${name} holds too many audit events for one record of the event log: report on a shorter interval`,
    { status: 422, cause },
  )
}

function jobOf(report: GlobalReport, { start, end }: Interval): Job {
  return {
    start: new Date(start).toISOString(),
    end: new Date(end).toISOString(),
    job: { name: `${report.name}-${end}` },
  }
}

function nextEnd({ spec }: GlobalReport, from: number): string | undefined {
  if (spec.schedule === undefined) return undefined
  try {
    const [end] = nextRuns(spec.schedule, from, 1)
    return end === undefined ? undefined : new Date(end).toISOString()
  } catch {
    return undefined // the trouble with the schedule is told in errorConditions
  }
}
