import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { netnsPath } from '@margay/kit/netns'
import { ipBatch } from './program.ts'

/**
 * What a lab has made outside its own process: network namespaces, and a folder for each under /etc/netns.
 * A thing is written down before it is made, so that whatever a crash leaves can be found. Rules and devices live in
 * the namespaces and vanish with them.
 */
export interface Journal {
  /** Writes down namespaces that are about to be made. */
  record(netns: readonly string[]): void
  /** Removes these namespaces and their folders, then forgets them. */
  remove(netns: readonly string[]): Promise<void>
  /** Removes everything written down, here or by a lab of the same id that had another home, and the journal itself. */
  sweep(): Promise<void>
}

const folderOf = (netns: string) => join('/etc/netns', netns)
const marker = (id: string) => `# made by the Margay lab ${id}\n`

/** Writes the resolv.conf that `ip netns exec` shows to programs in the namespace; it also marks the namespace as the lab's. */
export function writeResolvConf(id: string, netns: string, text: string): void {
  mkdirSync(folderOf(netns), { recursive: true })
  writeFileSync(join(folderOf(netns), 'resolv.conf'), marker(id) + text)
}

/** Keeps the journal of lab `id` in a file. The caller holds the lock of the id, so nothing that is found is in use. */
export function createJournal(file: string, id: string): Journal {
  let recorded = new Set<string>()
  const save = () => writeFileSync(file, JSON.stringify({ id, netns: [...recorded] }))

  async function drop(names: readonly string[]): Promise<void> {
    const existing = names.filter((name) => existsSync(netnsPath(name)))
    await ipBatch(
      null,
      existing.map((name) => `netns del ${name}`),
    )
    for (const name of names) rmSync(folderOf(name), { recursive: true, force: true })
    // The folder that holds the folders was perhaps not there before: an empty one means nothing to anyone.
    if (names.length > 0) removeEmpty('/etc/netns')
  }

  return {
    record(names) {
      mkdirSync(dirname(file), { recursive: true })
      recorded = new Set([...recorded, ...names])
      save()
    },
    async remove(names) {
      await drop(names)
      for (const name of names) recorded.delete(name)
      save()
    },
    async sweep() {
      const left = new Set([...recorded, ...readJournal(file), ...markedNetns(id)])
      await drop([...left])
      recorded = new Set()
      rmSync(file, { force: true })
    },
  }
}

function readJournal(file: string): string[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { netns: string[] }).netns
  } catch {
    return [] // none, or cut short by a crash: the marks tell
  }
}

/** Namespaces with the lab's prefix whose folder bears its mark. */
function markedNetns(id: string): string[] {
  if (!existsSync('/etc/netns')) return []
  return readdirSync('/etc/netns').filter((name) => {
    if (!name.startsWith(`${id}-`)) return false
    try {
      return readFileSync(join(folderOf(name), 'resolv.conf'), 'utf8').startsWith(marker(id))
    } catch {
      return false
    }
  })
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Not there, or in use: another lab may write into it at this moment.
  }
}
