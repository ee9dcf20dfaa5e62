import { dueBetween, parseCron } from '@margay/kit/schedule'

/** What a report covers: `[start, end)` in unix milliseconds. */
export interface Interval {
  readonly start: number
  readonly end: number
}

/**
 * The intervals that are complete and not reported on yet, oldest first, at most `limit` (spec 3.4). They lie between
 * the runs of the schedule without a gap: each begins where the one before ended, the first when the resource was made.
 * The delay moves the work, never the interval. Throws SCHEDULE_INVALID.
 */
export function dueIntervals(
  schedule: string,
  since: number,
  at: { readonly now: number; readonly startDelayMs: number },
  limit: number,
): Interval[] {
  let start = since
  return dueBetween(parseCron(schedule), since, at.now - at.startDelayMs, limit).map((end) => {
    const interval = { start, end }
    start = end
    return interval
  })
}
