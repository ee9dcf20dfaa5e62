import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '@margay/kit/config'
import { freePort } from './port.ts'

const main = fileURLToPath(new URL('../../services/engine/src/main.ts', import.meta.url))

/** The embedded engine as its own process, as `margay up` runs it, for tests. */
export interface TestEngine {
  /** For the `clickhouse` section of a configuration. */
  readonly config: Pick<Config['clickhouse'], 'url' | 'user' | 'passwordFile'> & { readonly url: string }
  readonly password: string
  /** Home folder; the data are in `clickhouse` below it. */
  readonly home: string
  readonly pid: number
  /** Ends it cleanly and waits. The folder stays when it was given, and goes when it was not. */
  stop(): Promise<void>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same data, port and password. */
  start(): Promise<void>
}

/** Starts an engine on a free port; `home` is a folder of its own when not given. */
export async function startEngine(home?: string, env: Readonly<Record<string, string>> = {}): Promise<TestEngine> {
  const folder = home ?? mkdtempSync(join(tmpdir(), 'margay-engine-'))
  const passwordFile = join(folder, 'engine-password')
  const password = 'a test password: "quotes" & umläut'
  writeFileSync(passwordFile, password, { mode: 0o600 })
  const port = await freePort()
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    child = fork(main, [], {
      execArgv: ['--import', 'tsx', '--conditions=source'],
      env: {
        ...process.env,
        MARGAY_HOME: folder,
        MARGAY_ENGINE__PORT: String(port),
        MARGAY_ENGINE__PASSWORD_FILE: passwordFile,
        MARGAY_REPORT__LEVEL: 'warn',
        UV_THREADPOOL_SIZE: '16',
        ...env,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`the engine ended with ${code} before it was ready`)
      }),
    ])
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }

  await start()
  return {
    config: { url: `http://127.0.0.1:${port}`, user: 'default', passwordFile },
    password,
    home: folder,
    get pid() {
      return child?.pid as number
    },
    async stop() {
      await end('SIGTERM')
      if (home === undefined) rmSync(folder, { recursive: true, force: true })
    },
    kill: () => end('SIGKILL'),
    start,
  }
}
