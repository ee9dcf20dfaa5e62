import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'

/** What is used of a chDB session: one connection with settings of its own, on the one data directory of the process. */
export interface ChdbSession {
  readonly connection: unknown
  queryAsync(sql: string, options: { format: string }): Promise<ChdbResult>
  queryStream(sql: string, options: { format: string }): ChdbStream
  close(): void
}

/** The whole result of a statement. */
export interface ChdbResult {
  readonly elapsed: number
  readonly rowsRead: number
  readonly bytesRead: number
  bytes(): Uint8Array
  text(): string
}

/** A result that comes in chunks. */
export interface ChdbStream extends AsyncIterable<{ raw(): Uint8Array }> {
  cancel(): void
}

/** What the engine's own parser says of a text: how many statements, and whether they only read (0). */
export interface Classification {
  readonly statementCount: number
  readonly queryClass: number
}

/** What Margay uses of chdb. */
export interface Chdb {
  open(dir: string, args?: readonly string[]): ChdbSession
  classify(session: ChdbSession, sql: string): Promise<Classification>
  /** Resolves when nothing native is under way any more. */
  drain(): Promise<void>
}

interface Library {
  Session: new (path: string, options?: { connectionArgs: readonly string[] }) => ChdbSession
  drainPending(): Promise<void>
}

interface Addon {
  DurableClassifyAsync?(connection: unknown, sql: string, database: string | null): Promise<Classification>
}

/**
 * Loads chDB, 566 MB of native code, only when a process really hosts the engine.
 * Throws a MargayError of code ENGINE_MISSING when it is not installed or has no build for this platform.
 */
export function loadChdb(): Chdb {
  const require = createRequire(import.meta.url)
  let library: Library
  let addon: Addon
  try {
    library = require('chdb') as Library
    // The classifier is bound in the addon but not exported by the package's front door.
    const loader = createRequire(require.resolve('chdb'))('./dist/loader.js') as { loadNative(): Addon }
    addon = loader.loadNative()
  } catch (cause) {
    throw new MargayError(
      'ENGINE_MISSING',
      `cannot load the embedded ClickHouse (${messageOf(cause).split('\n')[0]}): install the optional package chdb ` +
        '(npm install --include=optional), or set clickhouse.url to a ClickHouse server',
      { cause },
    )
  }
  return {
    open(dir, args) {
      try {
        return new library.Session(dir, ...(args === undefined ? [] : [{ connectionArgs: args }]))
      } catch (cause) {
        const owner = ownerOf(dir)
        throw owner === null
          ? new MargayError('ENGINE_NOT_OPENED', `cannot open the data directory ${dir}: the line above says why`, {
              cause,
            })
          : new MargayError(
              'ENGINE_DIRECTORY_BUSY',
              `the data directory ${dir} is open in process ${owner}: stop it, or set engine.dir to another folder`,
              { cause },
            )
      }
    },
    async classify(session, sql) {
      if (addon.DurableClassifyAsync === undefined) return { statementCount: 0, queryClass: -1 }
      return addon.DurableClassifyAsync(session.connection, sql, null)
    },
    drain: () => library.drainPending(),
  }
}

/** The living process that the directory's lock file names; chDB says why it cannot open one on standard error only. */
function ownerOf(dir: string): number | null {
  try {
    const pid = Number(/^PID: (\d+)/m.exec(readFileSync(join(dir, 'status'), 'utf8'))?.[1])
    return pid !== process.pid && isAlive(pid) ? pid : null
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
