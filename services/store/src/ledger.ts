import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '@margay/kit/component'
import type { Unit } from './unit.ts'

/** Remembers on disk how batches were cut into units, so that a crash does not change where a unit ends. */
export interface Ledger extends Component {
  /** Units of a partition that may not be committed yet, oldest first. */
  units(topic: string, partition: number): readonly Unit[]
  /** Resolves when the unit is on the disk; only then it may be inserted. */
  begin(unit: Unit): Promise<void>
  /** Forgets units that end before an offset: the group has moved past them. */
  forget(topic: string, partition: number, before: number): void
}

/** Bytes after which the file is written anew with what still counts. */
const compactAt = 32 * 1024

/**
 * A file of one JSON line for each unit, appended and synced before the unit's first insert. A line that a crash cut off
 * belongs to a unit that was never inserted, so it is ignored.
 */
export function createLedger(dir: string): Ledger {
  const path = join(dir, 'units.ndjson')
  const partitions = new Map<string, Unit[]>()
  let file: FileHandle | undefined
  let size = 0
  let waiting: { line: string; resolve(): void; reject(error: unknown): void }[] = []
  let isWriting = false
  let writing: Promise<void> = Promise.resolve()
  const nameOf = (topic: string, partition: number) => `${topic}/${partition}`

  function load(): void {
    if (!existsSync(path)) return
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const unit = parse(line)
      if (unit !== null) add(unit)
    }
  }

  function add(unit: Unit): void {
    const name = nameOf(unit.topic, unit.partition)
    // A unit that begins where or before an older one does comes from a log that was wiped or moved back.
    const older = (partitions.get(name) ?? []).filter((other) => other.last < unit.first)
    partitions.set(name, [...older, unit])
  }

  async function compact(): Promise<void> {
    await file?.close()
    const text = [...partitions.values()].flat().map((unit) => `${JSON.stringify(unit)}\n`)
    const fresh = openSync(`${path}.new`, 'w', 0o600)
    writeSync(fresh, text.join(''))
    fsyncSync(fresh)
    closeSync(fresh)
    renameSync(`${path}.new`, path)
    const folder = openSync(dir, 'r')
    fsyncSync(folder)
    closeSync(folder)
    file = await open(path, 'a')
    size = (await file.stat()).size
  }

  /** Writes what waits, as one write and one sync, until nothing waits. */
  async function drain(): Promise<void> {
    isWriting = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        if (size > compactAt) await compact()
        const text = batch.map((entry) => entry.line).join('')
        await (file as FileHandle).appendFile(text)
        await (file as FileHandle).datasync()
        size += text.length
        for (const entry of batch) entry.resolve()
      } catch (error) {
        for (const entry of batch) entry.reject(error)
      }
    }
    isWriting = false // in the same turn as the last look at what waits
  }

  return {
    name: 'ledger',
    async start() {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      load()
      await compact()
    },
    async stop() {
      await writing
      await file?.close()
    },
    units: (topic, partition) => partitions.get(nameOf(topic, partition)) ?? [],
    begin(unit) {
      add(unit)
      return new Promise((resolve, reject) => {
        waiting.push({ line: `${JSON.stringify(unit)}\n`, resolve, reject })
        if (!isWriting) writing = drain()
      })
    },
    forget(topic, partition, before) {
      const name = nameOf(topic, partition)
      const units = partitions.get(name)
      if (units !== undefined)
        partitions.set(
          name,
          units.filter((unit) => unit.last >= before),
        )
    },
  }
}

function parse(line: string): Unit | null {
  try {
    const unit = JSON.parse(line) as Unit
    return Number.isSafeInteger(unit.last) ? unit : null
  } catch {
    return null
  }
}
