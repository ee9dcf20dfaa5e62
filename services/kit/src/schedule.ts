import { type Cron, readCron } from '@margay/schemas'
import { createTask, type ScheduledTask } from 'node-cron'
import type { Component } from './component.ts'
import { MargayError, messageOf } from './errors.ts'
import type { Reporter } from './reporter.ts'

/**
 * Time tables. node-cron only wakes us up: it drops slots that a busy event loop slept through and combines day of month
 * with day of week by AND. What is due is computed here, from the text of the schedule and the time last done, in UTC.
 */
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
  const read = readCron(shorthands[text.trim().toLowerCase()] ?? text)
  if ('cron' in read) return { ...read.cron, text }
  throw new MargayError('SCHEDULE_INVALID', `cannot read the schedule ${JSON.stringify(text)}: ${read.problem}`, {
    status: 422,
  })
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
