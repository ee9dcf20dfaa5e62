import { type Address, networkOf, parseAddress, parseCidr } from './ip.ts'
import type { AddressSet, SetId } from './model.ts'

/** Makes a set of its members (in their usual text). The index of its blocks is built when first asked. */
export function createAddressSet(id: SetId, type: AddressSet['type'], members: ReadonlySet<string>): AddressSet {
  let blocks: Blocks | null = null
  return {
    id,
    type,
    members,
    has(member) {
      if (members.has(member)) return true
      if (type === 'ip-port') return false
      blocks ??= createBlocks(members)
      if (blocks.empty) return false
      const address = parseAddress(member)
      return address !== null && blocks.has(address)
    },
  }
}

/** Address blocks of both families. */
export interface Blocks {
  readonly empty: boolean
  has(address: Address): boolean
}

/** The blocks among a set's members, by prefix length. */
function createBlocks(members: Iterable<string>): Blocks {
  const networks: Record<4 | 6, Map<number, Set<bigint>>> = { 4: new Map(), 6: new Map() }
  let empty = true
  for (const member of members) {
    if (!member.includes('/')) continue
    const cidr = parseCidr(member)
    if (cidr === null) continue
    empty = false
    const lengths = networks[cidr.family]
    const had = lengths.get(cidr.prefix)
    if (had === undefined) lengths.set(cidr.prefix, new Set([cidr.value]))
    else had.add(cidr.value)
  }
  return {
    empty,
    has(address) {
      for (const [prefix, values] of networks[address.family]) if (values.has(networkOf(address, prefix))) return true
      return false
    },
  }
}
