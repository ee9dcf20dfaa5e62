/** A stretch of event time, `(from, to]` in unix milliseconds. */
export interface Window {
  readonly from: number
  readonly to: number
}

/** What an alert has to look at now. */
export interface Due {
  /** Oldest first. */
  readonly windows: readonly Window[]
  /** Start and end of the time that is given up because it is too long ago; null when nothing is. */
  readonly skipped: Window | null
}

/** More windows than this are not made up for in one go: a day for an alert that looks back six minutes. */
const maxWindows = 240

/**
 * The windows due at `now` for an alert whose last window ended at `lastEnd`.
 * Runs missed collapse into windows of the alert's own length that leave no gap: a condition on a sum means the same
 * after an outage as before, and what began and ended inside the outage is seen.
 */
export function dueWindows(
  alert: { readonly periodMs: number; readonly lookbackMs: number },
  lastEnd: number,
  now: number,
): Due {
  const { periodMs, lookbackMs } = alert
  const windowTo = (to: number): Window => ({ from: to - lookbackMs, to })
  const missed = Math.floor((now - lastEnd) / periodMs)
  if (missed < 1) return { windows: [], skipped: null }
  const newest = lastEnd + missed * periodMs
  const step = Math.max(periodMs, lookbackMs)
  const count = Math.ceil((newest - lastEnd) / step)
  const kept = Math.min(count, maxWindows)
  const windows = Array.from({ length: kept }, (_, index) => windowTo(newest - (kept - 1 - index) * step))
  const oldest = windows[0] as Window
  return { windows, skipped: count > kept ? { from: lastEnd, to: oldest.from } : null }
}
