import { messageOf } from '@margay/kit/errors'
import { runIn } from '../../node/command.ts'
import { describe } from './batch.ts'
import type { SetKind, TableChange } from './change.ts'
import { hookNumber, printHook } from './hook.ts'
import type { TableListing } from './listing.ts'
import { printScript, type Script } from './print.ts'
import { type Refusal, refused } from './refusal.ts'

/** Writes a table with the nft command: tens of milliseconds a change, for where netlink cannot be used. */
export interface CommandWriter {
  /** Does all of the changes in one transaction, or rejects with NFT_REFUSED and has done none. */
  commit(changes: readonly TableChange[]): Promise<void>
  list(): Promise<TableListing>
}

interface Listed {
  readonly nftables: readonly Readonly<Record<string, ListedObject | undefined>>[]
}
interface ListedObject {
  readonly table?: string
  readonly name?: string
  readonly type?: string | readonly string[]
  readonly hook?: string
  readonly prio?: number
  readonly policy?: string
  readonly map?: string
  readonly flags?: readonly string[]
}

/** Makes a writer of a table of the family inet. */
export function createCommandWriter(options: { readonly netns: string | null; readonly table: string }): CommandWriter {
  const { netns, table } = options
  const nft = (args: readonly string[], input?: string) =>
    runIn(netns, ['nft', ...args], { code: 'NFT_FAILED', ...(input === undefined ? {} : { input }) })

  async function objects(kind: 'chain' | SetKind): Promise<ListedObject[]> {
    const listed = JSON.parse(await nft(['-j', '-t', 'list', `${kind}s`, 'inet'])) as Listed
    return listed.nftables.flatMap((item) => {
      const object = item[kind]
      return object?.table === table ? [object] : []
    })
  }

  return {
    async commit(changes) {
      const script = printScript(table, changes)
      if (script.text === '') return
      try {
        await nft(['-f', '-'], script.text)
      } catch (error) {
        const [first, ...others] = refusals(messageOf(error), changes, script)
        if (first === undefined) throw error
        throw refused(table, [first, ...others])
      }
    },
    async list() {
      const chains = await objects('chain')
      const sets = await objects('set')
      const maps = await objects('map')
      const describeSet = (kind: SetKind) => (object: ListedObject) =>
        [object.name as string, { kind, spec: specOf(object) }] as const
      return {
        chains: new Map(chains.map((chain) => [chain.name as string, { hook: hookOf(chain) }])),
        sets: new Map([...sets.map(describeSet('set')), ...maps.map(describeSet('map'))]),
      }
    },
  }
}

function hookOf({ type, hook, prio, policy }: ListedObject): string | null {
  if (typeof type !== 'string' || hook === undefined) return null
  const number = hookNumber(hook)
  return number === null
    ? null
    : printHook({ type, number, priority: prio ?? 0, policy: policy === 'drop' ? 'drop' : 'accept' })
}

function specOf({ type, map, flags }: ListedObject): string {
  const key = typeof type === 'string' ? type : (type ?? []).join(' . ')
  return `type ${key}${map === undefined ? '' : ` : ${map}`};${flags === undefined ? '' : ` flags ${flags.join(', ')};`}`
}

/** Errors of nft, each with the line that it is about. */
function refusals(said: string, changes: readonly TableChange[], { places }: Script): Refusal[] {
  return [...said.matchAll(/stdin:(\d+):[^\n]*?Error: ([^\n]*)/g)].flatMap(([, line, reason]) => {
    const [change, item] = places[Number(line) - 1] ?? []
    if (change === undefined) return []
    const about = changes[change] as TableChange
    return [
      { change, object: describe(about, item ?? 0), reason: reason as string, errno: 0, cause: about.cause ?? null },
    ]
  })
}
