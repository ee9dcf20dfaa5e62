import { parseCidr } from './ip.ts'
import type { AddressSet, SetId } from './model.ts'
import { createPrefixTable, type PrefixTable } from './prefix-table.ts'

/** An address set that is told what its sources name; each member counts as often as it is named. */
export interface CountedSet extends AddressSet {
  /** Sources no longer name `less`, and name `more`; texts are addresses and blocks in their usual form, or `address,protocol,port`. */
  change(less: readonly string[], more: readonly string[]): void
}

/** Makes an empty set. `changed` hears of every member that comes or goes, once. */
export function createCountedSet(
  id: SetId,
  type: AddressSet['type'],
  changed: (member: string, isMember: boolean) => void,
): CountedSet {
  /** Everything that is named at least once. */
  const named = new Set<string>()
  /** How often beyond once, for the few that are. */
  const repeats = new Map<string, number>()
  /** The blocks among what is named; null when there is none, as in most sets. */
  let blocks: PrefixTable<true> | null = null
  /** What is named but for what a block covers. */
  let members = named
  let areBlocksChanged = false

  function name(text: string): void {
    if (named.has(text)) {
      repeats.set(text, (repeats.get(text) ?? 0) + 1)
      return
    }
    named.add(text)
    if (type === 'net' && text.includes('/')) addBlock(text)
    else if (blocks === null) changed(text, true)
    else if (!areBlocksChanged && !isCovered(text)) enter(text)
  }

  function unname(text: string): void {
    const more = repeats.get(text)
    if (more !== undefined) {
      if (more === 1) repeats.delete(text)
      else repeats.set(text, more - 1)
      return
    }
    if (!named.delete(text)) return
    if (blocks === null) {
      changed(text, false)
      return
    }
    if (members.delete(text)) changed(text, false)
    const block = text.includes('/') ? parseCidr(text) : null
    if (block === null) return
    blocks.delete(block)
    areBlocksChanged = true
  }

  function addBlock(text: string): void {
    const block = parseCidr(text)
    if (block === null) return
    if (blocks === null) {
      blocks = createPrefixTable()
      members = new Set(named)
      members.delete(text)
    }
    blocks.set(block, true)
    areBlocksChanged = true
  }

  function enter(text: string): void {
    members.add(text)
    changed(text, true)
  }

  function isCovered(text: string): boolean {
    if (blocks === null) return false
    if (!text.includes('/')) return blocks.some(text, () => true)
    const block = parseCidr(text)
    return block === null || blocks.covers(block)
  }

  /** After blocks came or went: what they cover leaves, what they no longer cover comes back. */
  function reduce(): void {
    areBlocksChanged = false
    for (const text of named) {
      const isMember = members.has(text)
      if (isMember !== isCovered(text)) continue
      if (!isMember) enter(text)
      else {
        members.delete(text)
        changed(text, false)
      }
    }
    if (blocks?.size !== 0) return
    blocks = null
    members = named
  }

  return {
    id,
    type,
    get members() {
      return members
    },
    has: (member) => named.has(member) || (blocks?.some(member, () => true) ?? false),
    change(less, more) {
      for (const text of less) unname(text)
      for (const text of more) name(text)
      if (areBlocksChanged) reduce()
    },
  }
}
