/** The end of a loop, which others bring about, and pauses that it cuts short. */
export interface Ending {
  readonly isOver: boolean
  end(): void
  /** Resolves at the end. */
  over(): Promise<void>
  /** Resolves after `ms` or at the end, whichever is first. */
  pause(ms: number): Promise<void>
}

/** Makes an ending. */
export function createEnding(): Ending {
  const waiting = new Set<() => void>()
  let isOver = false
  return {
    get isOver() {
      return isOver
    },
    end() {
      isOver = true
      for (const wake of [...waiting]) wake()
    },
    over: () => (isOver ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
    pause(ms) {
      if (isOver) return Promise.resolve()
      return new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          waiting.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, ms)
        waiting.add(wake)
      })
    },
  }
}

/** Milliseconds before the `attempt`th try again (from 1): doubles from a quarter second to ten seconds. */
export function backoff(attempt: number): number {
  return Math.min(10_000, 250 * 2 ** Math.min(attempt - 1, 10))
}
