import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { askSocket } from '@margay/kit/socket'

/** A service as its own process, as `margay up` runs it. */
export interface TestService {
  readonly pid: number
  /** Asks its operations server. */
  ask(path: string, body?: unknown): Promise<{ status: number; body: unknown }>
  /** Ends it cleanly and waits; gives its exit code, null when a signal ended it. */
  stop(): Promise<number | null>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
}

/** Starts a service (its sources, or what `npm run build` made of them) with its home folder and waits until it is ready. */
export async function startService(
  name: string,
  home: string,
  env: Readonly<Record<string, string>> = {},
  form: 'sources' | 'build' = 'sources',
): Promise<TestService> {
  const main = form === 'build' ? 'dist/main.js' : 'src/main.ts'
  const child: ChildProcess = fork(fileURLToPath(new URL(`../../services/${name}/${main}`, import.meta.url)), [], {
    execArgv: form === 'build' ? [] : ['--import', 'tsx', '--conditions=source'],
    env: { ...process.env, MARGAY_HOME: home, MARGAY_REPORT__LEVEL: 'error', ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.kill(signal)
      await gone
    }
    return child.exitCode
  }
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the service ${name} ended with ${code} before it was ready`)
    }),
  ])
  return {
    pid: child.pid as number,
    async ask(path, body) {
      const method = body === undefined ? 'GET' : 'POST'
      const { status, text, json } = await askSocket(join(home, 'run', `${name}.sock`), { path, method, body })
      return { status, body: json === undefined ? text : json }
    },
    stop: () => end('SIGTERM'),
    async kill() {
      await end('SIGKILL')
    },
  }
}

/** Asks again until `found` gives something; throws with `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  found: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const until = Date.now() + timeoutMs
  for (;;) {
    const value = await found()
    if (value !== undefined && value !== false) return value
    if (Date.now() > until) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
