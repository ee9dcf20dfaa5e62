import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A service process that the supervisor keeps alive. */
export interface ServiceSpec {
  /** Name on the screen and of the log file: `store`, `agent node1`. */
  readonly name: string
  /** Package of the service: `@margay/store`. */
  readonly package: string
  readonly env: Readonly<Record<string, string>>
}

/** What the supervisor hears of a service. */
export interface ServiceEvents {
  /** A message that the service sent before or at ready (`{ ready: true }`, `{ lab: … }`). */
  onMessage(message: Record<string, unknown>): void
  /** A line of level warn or worse. */
  onComplaint(line: string): void
  /** The process ended though nobody told it to; it starts again after `delayMs`. */
  onCrash(code: number | null, delayMs: number): void
}

/** A service under supervision. */
export interface ServiceProcess {
  readonly name: string
  readonly pid: number | undefined
  start(): void
  /** Ends the process and starts it again at once: what it was started for is not there any more. */
  restart(): void
  /** Resolves when the process is gone. */
  stop(): Promise<void>
}

const firstDelayMs = 250
const longestDelayMs = 10_000
/** A process that lived this long starts from the shortest delay again. */
const healthyAfterMs = 30_000
/** Longer than any service needs to flush; then it is ended by force. */
const stopTimeoutMs = 15_000
const logFileLimit = 10 * 2 ** 20

/** Forks a service, restarts it with back-off when it dies before `end`, keeps its log lines in a file. */
export function createServiceProcess(
  spec: ServiceSpec,
  { logDir, end }: { readonly logDir: string; readonly end: AbortSignal },
  events: ServiceEvents,
): ServiceProcess {
  const entry = fileURLToPath(import.meta.resolve(`${spec.package}/main`))
  let child: ChildProcess | undefined
  let stopping = false
  let restarting = false
  let delay = firstDelayMs
  let timer: NodeJS.Timeout | undefined

  function start(): void {
    const file = openLog(logDir, spec.name)
    const startedAt = Date.now()
    const forked = fork(entry, [], { env: { ...process.env, ...spec.env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    child = forked
    const follow = (stream: NodeJS.ReadableStream, isError: boolean) =>
      createInterface({ input: stream }).on('line', (line) => {
        file.write(`${line}\n`)
        const complaint = complaintOf(line, isError)
        if (complaint !== null) events.onComplaint(complaint)
      })
    if (forked.stdout) follow(forked.stdout, false)
    if (forked.stderr) follow(forked.stderr, true)
    forked.on('message', (message) => events.onMessage(message as Record<string, unknown>))
    forked.on('error', (error) => events.onComplaint(error.message))
    forked.on('exit', (code) => {
      file.end()
      child = undefined
      // A signal to the whole group ends services by themselves: that is no crash.
      if (stopping || end.aborted) return
      if (restarting) {
        restarting = false
        return start()
      }
      if (Date.now() - startedAt > healthyAfterMs) delay = firstDelayMs
      events.onCrash(code, delay)
      timer = setTimeout(start, delay)
      delay = Math.min(delay * 2, longestDelayMs)
    })
  }

  return {
    name: spec.name,
    get pid() {
      return child?.pid
    },
    start,
    restart() {
      if (stopping || restarting || child === undefined) return
      restarting = true
      void terminate(child)
    },
    async stop() {
      stopping = true
      clearTimeout(timer)
      if (child !== undefined) await terminate(child)
    },
  }
}

/** Asks a process to end, by force when it does not listen; resolves when it is gone. */
async function terminate(running: ChildProcess): Promise<void> {
  if (running.exitCode !== null || running.signalCode !== null) return
  const gone = once(running, 'exit')
  running.kill('SIGTERM')
  const force = setTimeout(() => running.kill('SIGKILL'), stopTimeoutMs)
  await gone
  clearTimeout(force)
}

/** Appends to `<dir>/<name>.log`; a file that grew past the limit is kept once as `.1`. */
function openLog(dir: string, name: string): WriteStream {
  mkdirSync(dir, { recursive: true })
  const path = join(dir, `${name.replace(' ', '-')}.log`)
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > logFileLimit) renameSync(path, `${path}.1`)
  return createWriteStream(path, { flags: 'a' })
}

const warn = 40

/** What of a log line a person at the terminal must see; null for the ordinary. */
export function complaintOf(line: string, isError: boolean): string | null {
  if (line.trim() === '') return null
  try {
    const entry = JSON.parse(line) as { level?: number; msg?: string; reason?: string; error?: string }
    if (typeof entry.level !== 'number' || entry.level < warn) return null
    return [entry.msg, entry.reason ?? entry.error].filter(Boolean).join(': ')
  } catch {
    return isError ? line : null
  }
}
