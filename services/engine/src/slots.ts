/** Thrown when as many requests wait as may wait. */
export class Crowded extends Error {}

/** A bounded number of things at a time; the rest waits in order, up to a bound. */
export interface Slots {
  readonly taken: number
  readonly waiting: number
  /** Resolves with the function that gives the slot back. Rejects with Crowded, or with the signal's reason. */
  take(signal?: AbortSignal): Promise<() => void>
}

/** Makes `count` slots for which `queue` callers at most may wait. */
export function createSlots(count: number, queue: number): Slots {
  let taken = 0
  const line: (() => void)[] = []
  function release(): void {
    taken -= 1
    line.shift()?.()
  }
  function grant(): () => void {
    taken += 1
    let given = false
    return () => {
      if (given) return
      given = true
      release()
    }
  }
  return {
    get taken() {
      return taken
    },
    get waiting() {
      return line.length
    },
    take(signal) {
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (taken < count) return Promise.resolve(grant())
      if (line.length >= queue) return Promise.reject(new Crowded(`${queue} requests wait already`))
      return new Promise((resolve, reject) => {
        const enter = () => {
          signal?.removeEventListener('abort', leave)
          resolve(grant())
        }
        const leave = () => {
          line.splice(line.indexOf(enter), 1)
          reject(signal?.reason)
        }
        line.push(enter)
        signal?.addEventListener('abort', leave, { once: true })
      })
    },
  }
}
