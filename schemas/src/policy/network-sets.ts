import { createDomainIndex } from './domain-index.ts'
import { parseCidr } from './ip.ts'
import type { Item } from './item.ts'
import { createPrefixTable } from './prefix-table.ts'

/** Network sets by the addresses and the domain names they hold. */
export interface NetworkSetIndex {
  put(item: Item): void
  remove(item: Item): void
  /**
   * The set that names an address (spec 4.2.2): one of the given namespace first, then a global one, then one of another namespace. Within
   * each, one that holds the address goes before one that holds a domain name of it; the longest prefix wins, then the name.
   */
  find(ip: string, namespace: string | null, domains: readonly string[]): Item | null
}

/** The best found so far, by rank: in the namespace, global, in another namespace. */
type Found = [Item | null, Item | null, Item | null]

/** Makes an empty index. */
export function createNetworkSetIndex(): NetworkSetIndex {
  const byNet = createPrefixTable<Set<Item>>()
  const byDomain = createDomainIndex<Item>()

  /** Keeps the first by name among equals; `found` holds what is better already. */
  function consider(items: Iterable<Item>, namespace: string | null, found: Found): void {
    const here: Found = [null, null, null]
    for (const item of items) {
      const rank = item.namespace === null ? 1 : item.namespace === namespace ? 0 : 2
      const had = here[rank]
      if (had === null || item.key < had.key) here[rank] = item
    }
    for (const rank of [0, 1, 2] as const) found[rank] ??= here[rank]
  }

  return {
    put(item) {
      for (const net of item.nets) {
        const block = parseCidr(net)
        if (block === null) continue
        const had = byNet.get(block)
        if (had === undefined) byNet.set(block, new Set([item]))
        else had.add(item)
      }
      for (const domain of item.domains) byDomain.add(domain, item)
    },
    remove(item) {
      for (const net of item.nets) {
        const block = parseCidr(net)
        const had = block && byNet.get(block)
        if (block === null || had == null) continue
        had.delete(item)
        if (had.size === 0) byNet.delete(block)
      }
      for (const domain of item.domains) byDomain.remove(domain, item)
    },
    find(ip, namespace, domains) {
      const found: Found = [null, null, null]
      byNet.some(ip, (items) => {
        consider(items, namespace, found)
        return found[0] !== null
      })
      const named: Found = [null, null, null]
      if (found[0] === null && domains.length > 0) consider(byDomain.matching(domains), namespace, named)
      return found[0] ?? named[0] ?? found[1] ?? named[1] ?? found[2] ?? named[2]
    },
  }
}
