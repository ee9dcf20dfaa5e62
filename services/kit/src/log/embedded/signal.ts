import { closeSync, constants, type FSWatcher, mkdirSync, openSync, watch, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Tells every process that opened the same folder that something happened. */
export interface Signal {
  /** Number of times something may have happened; read it before looking. */
  readonly version: number
  /** Tells all processes, this one included. Calls of one turn of the event loop become one. */
  raise(): void
  /** Resolves once `version` is not `seen`, which may be at once. */
  changed(seen: number): Promise<void>
  /** Wakes those who wait in this process only. */
  wake(): void
  close(): void
}

/** A reader looks this often even if no word came: a process may die between its commit and the word. */
const pollMs = 500
/** The same where the operating system gives no word of changed files (too many watches, network file systems). */
const pollWithoutWatchMs = 20

/**
 * Opens the signal `name` of a folder: a one-byte file that is written to raise it and watched to hear it.
 * Idle, it costs one timer turn each half second. The listener hears what is raised, not the turns of the timer.
 */
export function createSignal(dir: string, name: string, listener: () => void = () => {}): Signal {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const path = join(dir, `${name}.signal`)
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  const waiting = new Set<() => void>()
  let version = 0
  let raised: NodeJS.Immediate | undefined
  let isOpen = true

  function wakeAll(): void {
    version += 1
    for (const wake of waiting) wake()
    waiting.clear()
  }
  function hear(): void {
    wakeAll()
    listener()
  }
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(path, { persistent: false }, hear)
    watcher.on('error', () => {}) // the poll below goes on
  } catch {
    watcher = undefined
  }
  const timer = setInterval(wakeAll, watcher === undefined ? pollWithoutWatchMs : pollMs)
  timer.unref()

  return {
    get version() {
      return version
    },
    raise() {
      if (raised !== undefined || !isOpen) return
      raised = setImmediate(() => {
        raised = undefined
        if (!isOpen) return
        writeSync(file, '.', 0)
        if (watcher === undefined) hear()
        else wakeAll() // the watcher tells the listener
      })
    },
    wake: wakeAll,
    changed: (seen) => (version !== seen || !isOpen ? Promise.resolve() : new Promise((wake) => waiting.add(wake))),
    close() {
      if (!isOpen) return
      isOpen = false
      clearInterval(timer)
      watcher?.close()
      closeSync(file)
      for (const wake of waiting) wake()
      waiting.clear()
    },
  }
}
