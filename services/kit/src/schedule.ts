import { createTask, type ScheduledTask } from 'node-cron'
import type { Component } from './component.ts'
import { MargayError, messageOf } from './errors.ts'
import type { Reporter } from './reporter.ts'

/**
 * Time tables. node-cron only wakes us up: it drops slots that a busy event loop slept through and combines day of month
 * with day of week by AND. What is due is computed here, from the text of the schedule and the time last done, in UTC.
 */
export interface Cron {
  readonly text: string
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly daysOfMonth: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** 0 is Sunday. */
  readonly daysOfWeek: ReadonlySet<number>
  /** Days are those of the month OR of the week when both are restricted, as in Kubernetes and every Unix. */
  readonly isEitherDay: boolean
}

const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const shorthands: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}
const dayMs = 86_400_000
/** 29 February of 2096 is followed by that of 2104: no possible date is further away. */
const horizonDays = 8 * 366

/** Reads a cron expression of five fields or a shorthand (`@daily`). Throws SCHEDULE_INVALID. */
export function parseCron(text: string): Cron {
  const fields = (shorthands[text.trim().toLowerCase()] ?? text.trim()).split(/\s+/)
  if (fields.length !== 5)
    throw invalid(text, `it has ${fields.length} fields; give minute, hour, day of month, month and day of week`)
  const [minute, hour, dayOfMonth, month, dayOfWeek] = fields as [string, string, string, string, string]
  const cron: Cron = {
    text,
    minutes: valuesOf(text, minute, 0, 59),
    hours: valuesOf(text, hour, 0, 23),
    daysOfMonth: new Set(valuesOf(text, dayOfMonth, 1, 31)),
    months: new Set(valuesOf(text, month, 1, 12, monthNames, 1)),
    daysOfWeek: new Set(valuesOf(text, dayOfWeek, 0, 7, dayNames).map((day) => day % 7)),
    isEitherDay: !isOpen(dayOfMonth) && !isOpen(dayOfWeek),
  }
  return cron
}

/** The first `count` runs after `from` (unix ms, exclusive); fewer when the schedule names no date, such as 30 February. */
export function nextRuns(schedule: Cron | string, from: number, count: number): number[] {
  const runs: number[] = []
  for (const run of runsAfter(cronOf(schedule), from)) {
    if (runs.length >= count) break
    runs.push(run)
  }
  return runs
}

/** The runs in `(from, to]` (unix ms), oldest first, at most `limit`. */
export function dueBetween(schedule: Cron | string, from: number, to: number, limit = 10_000): number[] {
  const runs: number[] = []
  for (const run of runsAfter(cronOf(schedule), from)) {
    if (run > to || runs.length >= limit) break
    runs.push(run)
  }
  return runs
}

/** The newest run at or before `at` (unix ms); null when there is none in eight years. */
export function previousRun(schedule: Cron | string, at: number): number | null {
  const cron = cronOf(schedule)
  const today = Math.floor(at / dayMs) * dayMs
  for (let day = today; day > today - horizonDays * dayMs; day -= dayMs) {
    if (!isDay(cron, day)) continue
    const run = timesOn(cron, day).findLast((time) => time <= at)
    if (run !== undefined) return run
  }
  return null
}

/**
 * Calls `run` once a second, never twice at the same time; the callee works out what is due.
 * A failing run is logged and counted, and the next one goes on.
 */
export function createTicker(name: string, deps: { readonly reporter: Reporter; run(): Promise<void> }): Component {
  const ticks = deps.reporter.counter('ticks_total', 'wake-ups of the scheduler by outcome', ['outcome'])
  const warn = deps.reporter.sampled()
  let task: ScheduledTask | undefined
  let running: Promise<void> | undefined
  return {
    name,
    async start() {
      task = createTask(
        '* * * * * *',
        () => {
          running = deps.run().then(
            () => ticks.inc({ outcome: 'ran' }),
            (error: unknown) => {
              ticks.inc({ outcome: 'failed' })
              warn({ task: name, error: messageOf(error) }, 'a scheduled run failed')
            },
          )
          return running
        },
        { timezone: 'UTC', noOverlap: true, name, suppressMissedWarning: true, logger: silent },
      )
      task.on('execution:missed', () => ticks.inc({ outcome: 'missed' }))
      task.on('execution:overlap', () => ticks.inc({ outcome: 'overlapped' }))
      await task.start()
    },
    async stop() {
      await task?.destroy()
      await running
    },
  }
}

const silent = { info() {}, warn() {}, error() {}, debug() {} }
const cronOf = (schedule: Cron | string) => (typeof schedule === 'string' ? parseCron(schedule) : schedule)
/** As in Kubernetes, a step of one or none keeps a star open; star with a larger step restricts the days. */
const isOpen = (field: string) => field.split(',').some((part) => /^[*?](\/1)?$/.test(part))

function* runsAfter(cron: Cron, from: number): Generator<number> {
  let day = Math.floor(from / dayMs) * dayMs
  for (let empty = 0; empty < horizonDays; empty += 1, day += dayMs) {
    if (!isDay(cron, day)) continue
    for (const time of timesOn(cron, day)) {
      if (time <= from) continue
      empty = 0
      yield time
    }
  }
}

function isDay(cron: Cron, day: number): boolean {
  const date = new Date(day)
  if (!cron.months.has(date.getUTCMonth() + 1)) return false
  const ofMonth = cron.daysOfMonth.has(date.getUTCDate())
  const ofWeek = cron.daysOfWeek.has(date.getUTCDay())
  return cron.isEitherDay ? ofMonth || ofWeek : ofMonth && ofWeek
}

function timesOn(cron: Cron, day: number): number[] {
  return cron.hours.flatMap((hour) => cron.minutes.map((minute) => day + (hour * 60 + minute) * 60_000))
}

function valuesOf(
  text: string,
  field: string,
  low: number,
  high: number,
  names: readonly string[] = [],
  first = 0,
): number[] {
  const values = new Set<number>()
  const read = (word: string): number => {
    const named = names.indexOf(word.toLowerCase())
    const value = named >= 0 ? named + first : /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN
    if (!(value >= low && value <= high))
      throw invalid(text, `${JSON.stringify(word)} is not a value from ${low} to ${high}`)
    return value
  }
  for (const part of field.split(',')) {
    const match = /^(?:([*?])|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(part)
    if (match === null) throw invalid(text, `${JSON.stringify(part)} is not a value, range or step`)
    const [, star, one, other, step] = match
    const from = star === undefined ? read(one as string) : low
    // `5/15` means from 5 to the end by 15, as in every cron that allows it.
    const to = other !== undefined ? read(other) : star !== undefined || step !== undefined ? high : from
    const by = step === undefined ? 1 : Number(step)
    if (by < 1) throw invalid(text, `the step in ${JSON.stringify(part)} must be at least 1`)
    if (from > to) throw invalid(text, `the range ${JSON.stringify(part)} runs backwards`)
    for (let value = from; value <= to; value += by) values.add(value)
  }
  return [...values].sort((a, b) => a - b)
}

function invalid(text: string, reason: string): MargayError {
  return new MargayError('SCHEDULE_INVALID', `cannot read the schedule ${JSON.stringify(text)}: ${reason}`, {
    status: 422,
  })
}
