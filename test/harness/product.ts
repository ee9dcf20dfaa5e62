import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from './port.ts'

const bin = fileURLToPath(new URL('../../services/cli/bin/margay.js', import.meta.url))

/** The whole product as a user runs it: `margay up` in a home folder of its own, with a lab of its own. */
export interface Product {
  readonly url: string
  readonly home: string
  readonly labId: string
  /** Folder for temporary files of its own; it goes with `stop`, and tests may look into it before. */
  readonly temporary: string
  /** Seconds from the start until the API was ready and the agents ran. */
  readonly startSeconds: number
  /** Runs the command line against it. */
  margay(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>
  sql<T = Record<string, unknown>>(query: string): Promise<T[]>
  /** What it wrote on the screen so far. */
  screen(): string
  /** Ends the supervisor, and nothing else, with SIGKILL. */
  kill(): Promise<void>
  /** Ends it with Ctrl-C and removes its folder. Throws when it does not end. */
  stop(): Promise<void>
}

export interface ProductOptions {
  /** Arguments of `margay up`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Another Node than the one that runs the tests. */
  readonly node?: string
  /** Folder that outlives `stop`. */
  readonly home?: string
  /** A lab that was there before; a new one when absent. */
  readonly labId?: string
  /** Runs as this user, who owns `home`; as the user of the tests when absent. */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly timeoutMs?: number
}

export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'margay-product-'))
  const labId = options.labId ?? `t${randomBytes(2).toString('hex')}`
  const temporary = mkdtempSync(join(tmpdir(), 'margay-temporary-'))
  if (options.user !== undefined) {
    for (const folder of [home, temporary]) chownSync(folder, options.user.uid, options.user.gid)
  }
  const port = await freePort()
  const node = options.node ?? process.execPath
  const env = {
    ...process.env,
    NO_COLOR: '1',
    TMPDIR: temporary,
    MARGAY_HOME: home,
    MARGAY_API__PORT: String(port),
    MARGAY_LAB__ID: labId,
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    ...options.env,
  }
  const url = `http://127.0.0.1:${port}`
  const started = Date.now()
  let written = ''
  const [program, ...before] = commandAs(options.user, node)
  const child = spawn(program, [...before, bin, 'up', ...(options.args ?? [])], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (written += chunk.toString()))

  async function stop(): Promise<void> {
    try {
      await endGroup(child)
    } finally {
      rmSync(temporary, { recursive: true, force: true })
      if (options.home === undefined) rmSync(home, { recursive: true, force: true })
    }
  }
  try {
    await until(
      () => written.includes('Margay is live') || child.exitCode !== null,
      options.timeoutMs ?? 90_000,
      () => `margay up is not ready:\n${written}\n${logsOf(home)}`,
    )
    if (child.exitCode !== null) throw new Error(`margay up ended with ${child.exitCode}:\n${written}\n${logsOf(home)}`)
  } catch (error) {
    await stop()
    throw error
  }
  const margay = (...args: string[]) => runCommand(program, [...before, bin, ...args], env)
  return {
    url,
    home,
    labId,
    temporary,
    startSeconds: (Date.now() - started) / 1000,
    margay,
    async sql<T>(query: string) {
      const { code, stdout, stderr } = await margay('sql', '-o', 'json', query)
      if (code !== 0) throw new Error(`sql failed: ${stderr}`)
      return stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as T)
    },
    screen: () => written,
    async kill() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
    stop,
  }
}

/**
 * A command line that runs a program as an unprivileged user. The user may read everything, since a checkout may lie in a folder of root,
 * and has no other privilege.
 */
function commandAs(user: ProductOptions['user'], program: string): [string, ...string[]] {
  if (user === undefined) return [program]
  const capabilities = ['--inh-caps=-all,+dac_read_search', '--ambient-caps=-all,+dac_read_search']
  return ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...capabilities, program]
}

/** Runs a program to its end. */
export function runCommand(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }))
  })
}

/** Waits until a condition holds; throws an Error with the explanation after `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  explain: () => string,
): Promise<void> {
  const end = Date.now() + timeoutMs
  for (;;) {
    if (await condition()) return
    if (Date.now() > end) throw new Error(explain())
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function endGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise<boolean>((resolve) => child.once('exit', () => resolve(true)))
  process.kill(-child.pid, 'SIGINT')
  const ended = await Promise.race([
    gone,
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 45_000).unref()),
  ])
  if (ended) return
  process.kill(-child.pid, 'SIGKILL')
  throw new Error('margay up did not end within 45 s of Ctrl-C')
}

/** The last lines of every service's log, for the message of a failed test. */
function logsOf(home: string): string {
  try {
    return readdirSync(join(home, 'logs'))
      .map(
        (file) =>
          `--- ${file}\n${readFileSync(join(home, 'logs', file), 'utf8')
            .split('\n')
            .slice(-15)
            .join('\n')}`,
      )
      .join('\n')
  } catch {
    return ''
  }
}
