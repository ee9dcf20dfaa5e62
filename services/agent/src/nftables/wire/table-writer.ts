import { MargayError } from '@margay/kit/errors'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { createGenerationReader } from '../generation.ts'
import type { Elements, TableChange } from './change.ts'
import { type CommandWriter, createCommandWriter } from './command-writer.ts'
import { listTable, type TableListing } from './listing.ts'
import { createNetlinkWriter, openTables, type SetRef } from './netlink-writer.ts'

/** Writes and lists one nftables table. */
export interface TableWriter {
  /** How the table is written now. */
  readonly form: 'netlink' | 'command'
  /** Does all of the changes in one transaction, or rejects with NFT_REFUSED and has done none. */
  commit(changes: readonly TableChange[]): Promise<void>
  /** Elements of one set in a transaction of their own. Over netlink it is done when the call returns, and an error is thrown. */
  elements(set: SetRef, op: 'add' | 'delete', elements: Elements): void | Promise<void>
  /** Chains and sets of the table; rules and elements are not read. */
  list(): Promise<TableListing>
  /** Number of the kernel's present rule set: every transaction of anybody raises it. */
  generation(): number
  close(): void
}

/** `auto`: netlink, and the nft command where netlink is not to be had. */
export type WriterMode = 'auto' | 'netlink' | 'command'

/** What the kernel answers to a message that is larger than it takes. */
const tooLarge: readonly unknown[] = [90 /* EMSGSIZE */, 105 /* ENOBUFS */]

/** Calls that hand nothing to the kernel when they fail. */
const beforeKernel: readonly unknown[] = ['load', 'socket', 'bind', 'send']

/** Makes the writer of a table of the family inet in a network namespace; null is that of this process. */
export function createTableWriter(
  options: { readonly netns: string | null; readonly table: string; readonly mode?: WriterMode },
  deps: {
    /** Told when the nft command steps in for netlink. */
    readonly warn: (fields: { readonly table: string; readonly error: string }, message: string) => void
    readonly open?: () => NetlinkSocket
    readonly command?: CommandWriter
  },
): TableWriter {
  const { netns, table, mode = 'auto' } = options
  const open = deps.open ?? (() => openTables(netns))
  const netlink = createNetlinkWriter({ netns, table, open })
  const command = deps.command ?? createCommandWriter({ netns, table })
  const generation = createGenerationReader(netns)
  let form: 'netlink' | 'command' = mode === 'command' ? 'command' : 'netlink'
  let reader: NetlinkSocket | undefined
  let sequence = 0

  /** True when the command may be tried after an error of netlink: nothing got to the kernel. A refusal is an answer, not a failure. */
  function stepsIn(error: unknown): boolean {
    if (mode !== 'auto' || !(error instanceof MargayError) || error.code !== 'NETLINK_FAILED') return false
    if (!beforeKernel.includes(error.details.call)) return false
    if (tooLarge.includes(error.details.errno))
      deps.warn({ table, error: error.message }, 'transaction given to the nft command')
    else {
      form = 'command'
      deps.warn({ table, error: error.message }, 'netlink not usable, the nft command is used')
    }
    return true
  }

  return {
    get form() {
      return form
    },
    async commit(changes) {
      if (form === 'command') return command.commit(changes)
      try {
        netlink.commit(changes)
      } catch (error) {
        if (!stepsIn(error)) throw error
        return command.commit(changes)
      }
    },
    elements(set, op, elements) {
      const change: TableChange = { type: 'elements', op, ...set, elements }
      if (form === 'command') return command.commit([change])
      try {
        netlink.elements(set, op, elements)
      } catch (error) {
        if (!stepsIn(error)) throw error
        return command.commit([change])
      }
    },
    async list() {
      if (form === 'command') return command.list()
      try {
        reader ??= open()
        return listTable(reader, table, () => ++sequence)
      } catch (error) {
        if (!stepsIn(error)) throw error
        return command.list()
      }
    },
    generation: () => generation.read(),
    close() {
      netlink.close()
      generation.close()
      reader?.close()
      reader = undefined
    },
  }
}
