import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '@margay/kit/config'
import { freePort } from './port.ts'
import { startService, type TestService } from './service.ts'

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
  let engine: TestService | undefined

  async function start(): Promise<void> {
    engine = await startService('engine', folder, {
      MARGAY_ENGINE__PORT: String(port),
      MARGAY_ENGINE__PASSWORD_FILE: passwordFile,
      MARGAY_REPORT__LEVEL: 'warn',
      UV_THREADPOOL_SIZE: '16',
      ...env,
    })
  }

  await start()
  return {
    config: { url: `http://127.0.0.1:${port}`, user: 'default', passwordFile },
    password,
    home: folder,
    get pid() {
      return engine?.pid as number
    },
    async stop() {
      await engine?.stop()
      if (home === undefined) rmSync(folder, { recursive: true, force: true })
    },
    async kill() {
      await engine?.kill()
    },
    start,
  }
}
