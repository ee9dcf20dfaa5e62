import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Product } from './product.ts'

/** A process of a product: the service (`cli` is the supervisor), agents with their node; programs that these run by their own names. */
export interface ProductProcess {
  readonly pid: number
  readonly name: string
}

/** Processes that run now for a home folder, whoever started them. */
export function processesOf(home: string): ProductProcess[] {
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) return []
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
      if (!environment.includes(`MARGAY_HOME=${home}`)) return []
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      const service =
        /services\/([a-z]+)\/(?:dist\/main|bin\/margay)\.js/.exec(command)?.[1] ??
        basename(command.split('\0')[0] ?? '')
      const node = environment.find((line) => line.startsWith('MARGAY_AGENT__NODE='))?.split('=')[1]
      return [{ pid, name: service === 'agent' ? `agent-${node}` : service }]
    } catch {
      return [] // it ended meanwhile
    }
  })
}

/** What a product has on the machine outside the data in its home folder. */
export interface Footprint {
  readonly processes: readonly string[]
  readonly namespaces: readonly string[]
  readonly namespaceFolders: readonly string[]
  /** nftables tables of the machine's own network. */
  readonly tables: readonly string[]
  readonly devices: readonly string[]
  readonly temporary: readonly string[]
  /** Sockets and process files in `<home>/run`. */
  readonly run: readonly string[]
}

const list = (folder: string) => (existsSync(folder) ? readdirSync(folder).sort() : [])
const lines = (command: string, ...args: string[]) => {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
  const { stdout, error } = spawnSync(command, args, { encoding: 'utf8', env })
  if (error) throw error
  return stdout.split('\n').filter(Boolean)
}

/** Looks for everything of a product now. */
export function footprintOf({ home, labId, temporary }: Pick<Product, 'home' | 'labId' | 'temporary'>): Footprint {
  const isOfLab = (name: string) => name.startsWith(`${labId}-`)
  return {
    processes: processesOf(home).map(({ name }) => name),
    namespaces: list('/run/netns').filter(isOfLab),
    namespaceFolders: list('/etc/netns').filter(isOfLab),
    tables: lines('nft', 'list', 'tables').filter((table) => table.includes('margay')),
    devices: lines('ip', '-o', 'link', 'show').filter((device) => /\bcali/.test(device)),
    temporary: list(temporary),
    run: list(join(home, 'run')),
  }
}

/** The footprint of what does not run. */
export const noFootprint: Footprint = {
  processes: [],
  namespaces: [],
  namespaceFolders: [],
  tables: [],
  devices: [],
  temporary: [],
  run: [],
}
