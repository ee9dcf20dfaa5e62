import type { AddressSet, PolicyModel, SetDelta, SetId } from '@margay/schemas'
import { type Family, familyOf } from './cidr.ts'
import { shortHash } from './names.ts'
import { addressType, type NamedSet, namedSet } from './ruleset.ts'

/**
 * The address sets of a model as sets of the kernel, kept by differences. A set's name and type follow from its identity and *shape* in
 * each family: nothing yet, single addresses (a hash table), blocks (intervals), or addresses with ports. A shape only grows, so that a
 * selector whose last pod leaves and comes back costs one element each time and no rule.
 */
export interface AddressSets {
  /** The kernel's form of a set in one family; null when it never had a member of it, or no rule of the cluster uses it. */
  named(id: SetId, family: Family): NamedForm | null
  /** Follows members. Returns the sets whose shape has changed, in any family. */
  follow(changes: ReadonlyMap<SetId, SetDelta | null>): SetId[]
  /** Nothing depends on the set any more. */
  forget(id: SetId): void
}

interface NamedForm {
  readonly name: string
  readonly set: NamedSet
  readonly isWithPorts: boolean
}

/** Members that came to and left a set of the kernel that exists. */
export type ElementsChanged = (name: string, added: readonly string[], removed: readonly string[]) => void

interface Kept {
  readonly type: AddressSet['type']
  readonly forms: Record<Family, Form | null>
  /** No rule of the cluster used it for a while, and its members were not told. */
  isStale: boolean
}

interface Form extends NamedForm {
  readonly elements: Map<string, string>
  readonly hasBlocks: boolean
}

/** Makes the sets of a model; `changed` hears of elements. */
export function createAddressSets(model: Pick<PolicyModel, 'addressSet'>, changed: ElementsChanged): AddressSets {
  const kept = new Map<SetId, Kept>()

  function form(id: SetId, type: AddressSet['type'], family: Family, elements: Map<string, string>): Form | null {
    if (elements.size === 0) return null
    const address = addressType[family]
    const hash = shortHash(id)
    const isWithPorts = type === 'ip-port'
    const hasBlocks = !isWithPorts && [...elements.keys()].some((element) => element.includes('/'))
    const [name, spec] = isWithPorts
      ? [`a${family}-${hash}`, `type ${address} . inet_proto . inet_service;`]
      : hasBlocks
        ? [`i${family}-${hash}`, `type ${address}; flags interval;`]
        : [`h${family}-${hash}`, `type ${address};`]
    return { name, set: { ...namedSet(spec, []), elements }, elements, hasBlocks, isWithPorts }
  }

  function begin(set: AddressSet): Kept {
    const split = { 4: new Map<string, string>(), 6: new Map<string, string>() }
    for (const member of set.members) {
      const family = familyOfMember(member)
      if (family !== null) split[family].set(elementOf(member, set.type), '')
    }
    const forms = { 4: form(set.id, set.type, 4, split[4]), 6: form(set.id, set.type, 6, split[6]) }
    return { type: set.type, forms, isStale: false }
  }

  /** Returns true when the shape is another one. */
  function change(id: SetId, { type, forms }: Kept, family: Family, added: string[], removed: string[]): boolean {
    const had = forms[family]
    if (had === null || (!had.hasBlocks && !had.isWithPorts && added.some((element) => element.includes('/')))) {
      const elements = new Map(had?.elements)
      for (const element of removed) elements.delete(element)
      for (const element of added) elements.set(element, '')
      // What was there stays as it is, for rules that have not been written again yet.
      forms[family] = form(id, type, family, elements)
      return forms[family] !== had
    }
    const gone = removed.filter((element) => had.elements.delete(element))
    const come = added.filter((element) => !had.elements.has(element))
    for (const element of come) had.elements.set(element, '')
    if (gone.length + come.length > 0) changed(had.name, come, gone)
    return false
  }

  return {
    named(id, family) {
      let known = kept.get(id)
      if (known === undefined) {
        const set = model.addressSet(id)
        if (set === null) return null
        known = begin(set)
        kept.set(id, known)
      }
      return known.forms[family]
    },
    follow(changes) {
      const reshaped: SetId[] = []
      for (const [id, delta] of changes) {
        const known = kept.get(id)
        if (known === undefined) continue
        if (delta === null) known.isStale = true
        const set = delta !== null && known.isStale ? model.addressSet(id) : null
        if (delta === null) continue
        const added = byFamily(set?.members ?? delta.added, known.type)
        const removed = set === null ? byFamily(delta.removed, known.type) : missing(known, added)
        known.isStale &&= set === null
        let isReshaped = false
        for (const family of [4, 6] as const)
          if (added[family].length + removed[family].length > 0)
            isReshaped = change(id, known, family, added[family], removed[family]) || isReshaped
        if (isReshaped) reshaped.push(id)
      }
      return reshaped
    },
    forget(id) {
      kept.delete(id)
    },
  }
}

function byFamily(members: Iterable<string>, type: AddressSet['type']): Record<Family, string[]> {
  const split: Record<Family, string[]> = { 4: [], 6: [] }
  for (const member of members) {
    const family = familyOfMember(member)
    if (family !== null) split[family].push(elementOf(member, type))
  }
  return split
}

/** Elements that are not among those that a set has now. */
function missing({ forms }: Kept, present: Record<Family, string[]>): Record<Family, string[]> {
  const of = (family: Family) => {
    const now = new Set(present[family])
    return [...(forms[family]?.elements.keys() ?? [])].filter((element) => !now.has(element))
  }
  return { 4: of(4), 6: of(6) }
}

/** Members are in their usual text, so a colon is enough to tell; anything without dots or colons is no address. */
function familyOfMember(member: string): Family | null {
  if (member.includes(':')) return 6
  return member.includes('.') ? 4 : familyOf(member)
}

const elementOf = (member: string, type: AddressSet['type']) => {
  if (type === 'ip-port') return member.split(',').join(' . ')
  // A block of one address is that address.
  return member.endsWith('/32') && !member.includes(':') ? member.slice(0, -3) : member.replace(/\/128$/, '')
}
