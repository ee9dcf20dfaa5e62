import { closeSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Database as LmdbDatabase, open, type RootDatabase } from 'lmdb'
import { MargayError, messageOf } from '../../errors.ts'
import { format } from './layout.ts'

/** A table of LMDB with binary keys and values. */
export type Table = LmdbDatabase<Buffer, Buffer>

const tables = ['facts', 'topics', 'heads', 'records', 'times', 'keys', 'groups'] as const

/** The LMDB environment of a folder, open in this process. */
export interface Database extends Readonly<Record<(typeof tables)[number], Table>> {
  /**
   * Runs `change` inside a write transaction, of which there is one at a time over all processes; resolves when the commit is on disk.
   * Changes asked for together share a commit. When `change` throws, nothing of it is kept and its error comes back.
   * Rejects with LOG_UNAVAILABLE when the transaction fails or does not end within 15 s.
   */
  write<T>(change: () => T): Promise<T>
  /** Makes the reads that follow see the newest commit. */
  refresh(): void
  /** Frees what readers that died left in the lock table; gives their number. */
  sweep(): number
  close(): Promise<void>
}

const patienceMs = 15_000
/** Address space set aside for the map: the file grows into it and no process ever has to map it anew. */
const mapBytes = 2 ** 40
/** Where LMDB's first page holds its mark, and the mark. */
const markAt = 24
const mark = 0xbeefc0de

/**
 * Opens the folder, making it if need be. Commits are synchronous: LMDB writes the pages, flushes them, then switches the
 * meta page with a flushed write, all before `write` resolves (`overlappingSync` would resolve before the flush).
 * Throws LOG_UNAVAILABLE when the folder cannot be used, LOG_CORRUPT when it holds something else.
 */
export function openDatabase(dir: string): Database {
  let root: RootDatabase<Buffer, Buffer>
  const opened: Partial<Record<(typeof tables)[number], Table>> = {}
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    checkMark(join(dir, 'data.mdb'))
    root = open<Buffer, Buffer>({
      path: dir,
      noSubdir: false,
      overlappingSync: false,
      eventTurnBatching: false, // its own promise of a failed commit would be rejected with nobody to handle it
      mapSize: mapBytes,
      maxDbs: 16,
      maxReaders: 512,
      encoding: 'binary',
      keyEncoding: 'binary',
    })
    for (const name of tables) {
      opened[name] = root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' })
    }
  } catch (cause) {
    if (cause instanceof MargayError) throw cause
    throw unavailable(dir, 'cannot be opened', cause)
  }
  const all = opened as Record<(typeof tables)[number], Table>
  let isOpen = true

  return {
    ...all,
    async write(change) {
      if (!isOpen) throw unavailable(dir, 'is closed')
      let timer: NodeJS.Timeout | undefined
      try {
        const late = new Promise<never>((_, reject) => {
          timer = globalThis.setTimeout(
            () =>
              reject(unavailable(dir, `did not answer in ${patienceMs / 1000} s; is a process that uses it stopped?`)),
            patienceMs,
          )
        })
        return await Promise.race([root.childTransaction(change), late])
      } catch (cause) {
        if (cause instanceof MargayError) throw cause
        throw unavailable(dir, 'refused a write', await reasonOf(cause))
      } finally {
        clearTimeout(timer)
      }
    },
    refresh() {
      if (!isOpen) throw unavailable(dir, 'is closed')
      root.resetReadTxn()
    },
    sweep: () => (isOpen ? root.readerCheck() : 0),
    async close() {
      if (!isOpen) return
      isOpen = false
      await root.close()
    },
  }
}

/** Checks that the folder's layout is this one, or writes that it is. Throws LOG_CORRUPT when it is another. */
export async function claimFormat(database: Database, dir: string): Promise<void> {
  const key = Buffer.from('format')
  const found = await database.write(() => {
    const value = database.facts.get(key)
    if (value === undefined) database.facts.put(key, Buffer.from(format))
    return value?.toString() ?? format
  })
  if (found !== format) {
    throw new MargayError(
      'LOG_CORRUPT',
      `the event log in ${dir} has layout ${found} and this version reads ${format}; move the folder away to start a new one`,
    )
  }
}

/** LMDB trusts what it maps and would crash on a file of another kind, so the first page is looked at before. */
function checkMark(path: string): void {
  const page = Buffer.alloc(markAt + 4)
  let size = 0
  try {
    const file = openSync(path, 'r')
    size = readSync(file, page, 0, page.length, 0)
    closeSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (size > 0 && (size < page.length || page.readUInt32LE(markAt) !== mark)) {
    throw new MargayError(
      'LOG_CORRUPT',
      `${path} is not an event log; move it away to start a new one, or restore it from a copy`,
    )
  }
}

/** Why a commit failed: lmdb tells it by a second promise, which must be handled or Node ends the process. */
async function reasonOf(cause: unknown): Promise<unknown> {
  const { commitError } = cause as { commitError?: Promise<never> }
  if (commitError === undefined) return cause
  const told = commitError.catch((reason: unknown) => reason)
  return Promise.race([told, setTimeout(1000, cause, { ref: false })])
}

function unavailable(dir: string, what: string, cause?: unknown): MargayError {
  const reason = cause === undefined ? '' : `: ${messageOf(cause)}`
  return new MargayError(
    'LOG_UNAVAILABLE',
    `the event log in ${dir} ${what}${reason}; check its disk and permissions`,
    {
      cause,
    },
  )
}
