import type { AddressSet, PortRange } from '@margay/schemas'
import { canonicalNetworks, type Family, familyOf } from './cidr.ts'
import { shortHash } from './names.ts'
import { fixedSet, type NamedSet } from './ruleset.ts'

/**
 * Collects the sets that rules refer to. Lists of ports and networks are named after their content, so that a list used
 * a thousand times is one set (anonymous sets cost the kernel quadratic time); address sets are named after their identity.
 */
export interface SetCollector {
  readonly sets: ReadonlyMap<string, NamedSet>
  /** Match text for a list of ports, as in `80` or `@p-0123456789abcdef`; null when the list is empty. */
  ports(ranges: readonly PortRange[]): string | null
  /** Name of the set of protocols that have ports. */
  portedProtocols(): string
  /** Match text for networks of one family; `none` when none of them is of this family, `all` when everything matches. */
  networks(nets: readonly string[], family: Family): string
  /** Name of an address set in one family; null when it has no member of this family. */
  addresses(set: AddressSet, family: Family): string | null
  /** The same for addresses and networks that are known by a name of ours. */
  addressList(id: string, members: Iterable<string>, family: Family): string | null
}

const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const

/** TCP, UDP, SCTP and UDP-Lite. */
const portedProtocols = fixedSet('inet_proto', ['6', '17', '132', '136'])

/** Makes an empty collector. */
export function createSetCollector(): SetCollector {
  const sets = new Map<string, NamedSet>()
  /** Names given so far: many rules share one address set, and reducing its networks takes time. */
  const known = new Map<string, string | null>()

  function define(name: string, spec: string, elements: readonly string[]): string {
    if (!sets.has(name)) {
      sets.set(name, {
        kind: 'set',
        spec,
        interval: spec.includes('interval'),
        elements: new Map(elements.map((element) => [element, ''])),
      })
    }
    return `@${name}`
  }

  function addressList(id: string, members: Iterable<string>, family: Family): string | null {
    const texts = canonicalNetworks(members, family)
    if (texts.length === 0) return null
    // Sets of single addresses are hash tables: an element comes and goes in microseconds, without a rebuild of intervals.
    return texts.some((text) => text.includes('/'))
      ? define(`i${family}-${shortHash(id)}`, `type ${addressType[family]}; flags interval;`, texts)
      : define(`h${family}-${shortHash(id)}`, `type ${addressType[family]};`, texts)
  }

  return {
    sets,
    ports(ranges) {
      if (ranges.length === 0) return null
      const texts = mergeRanges(ranges).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
      if (texts.length === 1) return texts[0] as string
      return define(`p-${shortHash(texts.join(','))}`, 'type inet_service; flags interval;', texts)
    },
    portedProtocols() {
      sets.set('ported', portedProtocols)
      return '@ported'
    },
    networks(nets, family) {
      const texts = canonicalNetworks(nets, family)
      if (texts.length === 0) return 'none'
      if (texts[0]?.endsWith('/0')) return 'all'
      if (texts.length === 1) return texts[0] as string
      const name = `n${family}-${shortHash(texts.join(','))}`
      return define(name, `type ${addressType[family]}; flags interval;`, texts)
    },
    addresses(set, family) {
      const key = `${family} ${set.id}`
      let name = known.get(key)
      if (name === undefined) {
        name = addresses(set, family)
        known.set(key, name)
      }
      return name
    },
    addressList,
  }

  function addresses(set: AddressSet, family: Family): string | null {
    if (set.type === 'ip-port') {
      const members = [...set.members].filter((member) => familyOf(member.slice(0, member.indexOf(','))) === family)
      if (members.length === 0) return null
      const spec = `type ${addressType[family]} . inet_proto . inet_service;`
      return define(
        `a${family}-${shortHash(set.id)}`,
        spec,
        members.map((member) => member.split(',').join(' . ')),
      )
    }
    return addressList(set.id, set.members, family)
  }
}

/** Ranges sorted, with neighbours and overlaps joined. */
function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const top = merged.at(-1)
    if (top !== undefined && first <= top.last + 1) top.last = Math.max(top.last, last)
    else merged.push({ first, last })
  }
  return merged
}
