import type { PortRange, SetId } from '@margay/schemas'
import type { AddressSets } from './address-sets.ts'
import { canonicalNetworks, type Family } from './cidr.ts'
import { shortHash } from './names.ts'
import { addressType, fixedSet, type NamedSet, namedSet } from './ruleset.ts'

/**
 * Collects the sets that some rules refer to. Lists of ports and networks are named after their content, so that a list used
 * a thousand times is one set (anonymous sets cost the kernel quadratic time); address sets are named after their identity.
 */
export interface SetCollector {
  /** The sets that must exist for the rules, by name. */
  readonly sets: ReadonlyMap<string, NamedSet>
  /** Address sets whose shape the rules depend on, also those that are not there now. */
  readonly watched: ReadonlySet<SetId>
  /** Match text for a list of ports, as in `80` or `@p-0123456789abcdef`; null when the list is empty. */
  ports(ranges: readonly PortRange[]): string | null
  /** Name of the set of protocols that have ports. */
  portedProtocols(): string
  /** Match text for networks of one family; `none` when none of them is of this family, `all` when everything matches. */
  networks(nets: readonly string[], family: Family): string
  /** An address set in one family; null when it has had no member of this family. */
  addresses(id: SetId, family: Family): { readonly text: string; readonly isWithPorts: boolean } | null
  /** The set of the addresses that DNS answers gave to names. */
  domains(patterns: readonly string[], family: Family): string
  /** Addresses and networks that are known by a name of ours; null when none is of this family. */
  addressList(id: string, members: Iterable<string>, family: Family): string | null
}

/** TCP, UDP, SCTP and UDP-Lite. */
const portedProtocols = fixedSet('inet_proto', ['6', '17', '132', '136'])

/** Sets of lists that were needed before, by their content: many rules have the same, and naming one takes a hash. */
export interface SetMemo {
  set(prefix: string, spec: string, elements: readonly string[]): { readonly name: string; readonly set: NamedSet }
}

const mostRemembered = 10_000

/** Makes an empty memo. */
export function createSetMemo(): SetMemo {
  const known = new Map<string, { readonly name: string; readonly set: NamedSet }>()
  return {
    set(prefix, spec, elements) {
      const content = elements.join(',')
      const key = `${prefix} ${content}`
      let found = known.get(key)
      if (found === undefined) {
        if (known.size >= mostRemembered) known.clear()
        found = { name: `${prefix}-${shortHash(content)}`, set: namedSet(spec, elements) }
        known.set(key, found)
      }
      return found
    },
  }
}

/** Makes an empty collector. */
export function createSetCollector(
  addressSets: Pick<AddressSets, 'named'>,
  memo: SetMemo = createSetMemo(),
): SetCollector {
  const sets = new Map<string, NamedSet>()
  const watched = new Set<SetId>()

  function define(name: string, spec: string, elements: readonly string[]): string {
    if (!sets.has(name)) sets.set(name, namedSet(spec, elements))
    return `@${name}`
  }

  function list(prefix: string, spec: string, elements: readonly string[]): string {
    const { name, set } = memo.set(prefix, spec, elements)
    sets.set(name, set)
    return `@${name}`
  }

  return {
    sets,
    watched,
    ports(ranges) {
      if (ranges.length === 0) return null
      const merged = mergeRanges(ranges)
      const texts = merged.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
      if (texts.length === 1) return texts[0] as string
      // Without ranges a table of bits does, which is the fastest set there is.
      const hasRange = merged.some(({ first, last }) => first !== last)
      return hasRange ? list('p', 'type inet_service; flags interval;', texts) : list('b', 'type inet_service;', texts)
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
      return list(`n${family}`, `type ${addressType[family]}; flags interval;`, texts)
    },
    addresses(id, family) {
      watched.add(id)
      const found = addressSets.named(id, family)
      if (found === null) return null
      sets.set(found.name, found.set)
      return { text: `@${found.name}`, isWithPorts: found.isWithPorts }
    },
    domains(patterns, family) {
      const sorted = [...new Set(patterns)].sort()
      const name = `d${family}-${shortHash(sorted.join(','))}`
      if (!sets.has(name)) sets.set(name, { ...namedSet(`type ${addressType[family]};`, []), domains: sorted })
      return `@${name}`
    },
    addressList(id, members, family) {
      const texts = canonicalNetworks(members, family)
      if (texts.length === 0) return null
      // Sets of single addresses are hash tables: an element comes and goes in microseconds, without a rebuild of intervals.
      return texts.some((text) => text.includes('/'))
        ? define(`i${family}-${shortHash(id)}`, `type ${addressType[family]}; flags interval;`, texts)
        : define(`h${family}-${shortHash(id)}`, `type ${addressType[family]};`, texts)
    },
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
