import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Component, run } from './component.ts'
import { type Config, loadConfig } from './config.ts'
import { messageOf } from './errors.ts'
import { createReporter, type Reporter } from './reporter.ts'

/** What a service is built with. */
export interface ServiceContext {
  readonly config: Config
  readonly reporter: Reporter
  /** Folder of sockets and process files: `<home>/run`. */
  readonly runDir: string
  /** Ends the service; with a reason when a part of it died. */
  end(reason?: Error): void
}

/**
 * The life of a service process: read the configuration, build the components, run them until a signal
 * or the parent's end, stop them in reverse. `--check` validates and exits; `--print-config` shows what is in force.
 * Tells a parent process `{ ready: true }` once everything has started.
 */
export async function serve(
  name: string,
  build: (context: ServiceContext) => readonly Component[] | Promise<readonly Component[]>,
): Promise<void> {
  let config: Config
  try {
    config = loadConfig()
  } catch (error) {
    console.error(`${name}: ${messageOf(error)}`)
    process.exitCode = 78
    return
  }
  if (process.argv.includes('--print-config')) return console.log(JSON.stringify(config, null, 2))
  if (process.argv.includes('--check')) return
  const reporter = createReporter(name, config.report)
  const controller = new AbortController()
  const end = (reason?: Error) => controller.abort(reason)
  let asked = 0
  const onSignal = () => {
    asked += 1
    if (asked > 1 && process.send === undefined) process.exit(130)
    end()
  }
  // Under a supervisor, Ctrl-C reaches every process of the group; the supervisor tells each one when to stop, in order.
  if (process.send === undefined) process.on('SIGINT', onSignal)
  else process.on('SIGINT', () => {})
  process.on('SIGTERM', onSignal)
  process.on('disconnect', onSignal)
  process.on('unhandledRejection', (reason) => end(reason instanceof Error ? reason : new Error(String(reason))))
  const runDir = join(config.home, 'run')
  mkdirSync(runDir, { recursive: true, mode: 0o700 })
  try {
    const components = await build({ config, reporter, runDir, end })
    for (const component of components) reporter.watch(component)
    const ready: Component = {
      name: 'ready',
      async start() {
        reporter.log.info('started')
        process.send?.({ ready: true })
      },
    }
    await run([...components, ready], controller.signal)
    reporter.log.info('stopped')
  } catch (error) {
    reporter.log.error(
      {
        error: messageOf(error),
        causes: error instanceof AggregateError ? error.errors.map((e) => (e as Error).stack ?? String(e)) : undefined,
      },
      'the service did not run cleanly',
    )
    process.exitCode = 1
  }
  if (process.connected) process.disconnect()
  // Give the log a moment to drain, then leave even if a third-party client holds a timer.
  setTimeout(() => process.exit(), 500).unref()
}
