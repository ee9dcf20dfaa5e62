import { decodeAttributes } from '../../netlink/message.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { SetKind } from './change.ts'
import { dump, numberOf, type Told, textAttribute, textOf } from './dump.ts'
import { printHook } from './hook.ts'
import { chainAttributes, hookAttributes, messages, setAttributes, setFlags } from './protocol.ts'
import { printSetSpec } from './set-spec.ts'

/** The chains and sets of a table, without their rules and elements. */
export interface TableListing {
  /** The hook as `printHook` writes it; null on a chain that rules jump to. */
  readonly chains: ReadonlyMap<string, { readonly hook: string | null }>
  /** The spec as in `type ipv4_addr; flags interval;`; null when it is none that is written here. */
  readonly sets: ReadonlyMap<string, { readonly kind: SetKind; readonly spec: string | null }>
}

/** Lists the chains and sets of a table; nothing when there is no such table. */
export function listTable(
  socket: Pick<NetlinkSocket, 'send' | 'receive'>,
  table: string,
  sequence: () => number,
): TableListing {
  // Kernels list the chains of all tables, whatever the request says.
  const chains = dump(socket, messages.getChain, [], sequence).filter(
    (chain) => textOf(chain.get(chainAttributes.table)) === table,
  )
  const sets = dump(socket, messages.getSet, [textAttribute(setAttributes.table, table)], sequence)
  return {
    chains: new Map(chains.map((chain) => [textOf(chain.get(chainAttributes.name)), { hook: hookOf(chain) }])),
    sets: new Map(
      sets
        .filter((set) => textOf(set.get(setAttributes.table)) === table)
        .map((set) => [textOf(set.get(setAttributes.name)), describeSet(set)]),
    ),
  }
}

function hookOf(chain: Told): string | null {
  const nested = chain.get(chainAttributes.hook)
  if (nested === undefined) return null
  const hook = decodeAttributes(nested)
  return printHook({
    type: textOf(chain.get(chainAttributes.type)),
    number: numberOf(hook.get(hookAttributes.number)),
    priority: numberOf(hook.get(hookAttributes.priority)) | 0,
    policy: numberOf(chain.get(chainAttributes.policy)) === 0 ? 'drop' : 'accept',
  })
}

function describeSet(set: Told): { kind: SetKind; spec: string | null } {
  const bits = numberOf(set.get(setAttributes.flags))
  return {
    kind: bits & setFlags.map ? 'map' : 'set',
    spec: printSetSpec(numberOf(set.get(setAttributes.keyType)), bits),
  }
}
