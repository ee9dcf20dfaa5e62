import { builtInTiers } from '../resources/kinds/tier.ts'
import type { ChangeFeed } from './change-feed.ts'
import { type Compiled, compilePolicy, domainKey } from './compile.ts'
import { type FlatPolicy, policyId } from './flat-policy.ts'
import { createGovernance } from './governance.ts'
import type { Direction, GoverningTier, Policy, PolicyKind, Stage, Tier } from './model.ts'
import { compareTiers, createTierList, type Placed, samePlace, type TierHead, type TierList } from './policy-order.ts'
import type { IndexedItem, Selection, SelectionIndex } from './selection-index.ts'
import { createSetMap } from './set-map.ts'
import type { SetRegistry } from './set-registry.ts'

/** Tiers, their policies and what these select. */
export interface PolicyStore {
  putTier(tier: TierHead): void
  /** Removes a tier; a built-in one returns to its built-in form. */
  removeTier(name: string): void
  put(flat: FlatPolicy): void
  remove(id: string): void
  /** Compiles again the policies that name the domain names of network sets in these selections, where they are others than before. */
  refreshDomains(selections: readonly Selection[]): void
  tiers(): readonly Tier[]
  governing(indexed: IndexedItem, direction: Direction, stage: Stage): readonly GoverningTier[]
  /** What a policy selects; empty for an id that is unknown. */
  selected(id: string): Iterable<IndexedItem>
  replaced(policy: Policy): boolean
}

interface Entry {
  readonly flat: FlatPolicy
  readonly selection: Selection
  compiled: Compiled<Policy>
  domains: string
  placed: Placed
}

const builtIn: readonly TierHead[] = builtInTiers.map(({ name, order, defaultAction }) => ({
  name,
  order,
  defaultAction: defaultAction === 'Pass' ? 'pass' : 'deny',
}))

/** The kind that a staged kind previews. */
const enforcedKinds: Partial<Record<PolicyKind, PolicyKind>> = { snp: 'np', sgnp: 'gnp', sknp: 'knp' }

/** Makes an empty store over an index of selectors and a registry of address sets. */
export function createPolicyStore(
  index: SelectionIndex,
  sets: SetRegistry,
  feed: Pick<ChangeFeed, 'policy' | 'selected' | 'tiers'>,
): PolicyStore {
  const lists = new Map<string, TierList>()
  const entries = new Map<string, Entry>()
  /** Policies with rules that name the domain names of a selection. */
  const byDomains = createSetMap<Selection, Entry>()
  const governance = createGovernance()
  /** Ids of enforced policies that a staged one replaces or deletes. */
  const replaced = new Set<string>()
  let tiers: readonly Tier[] | null = null
  for (const head of builtIn) setHead(head.name, head)

  function listOf(name: string): TierList {
    let list = lists.get(name)
    if (list === undefined) {
      list = createTierList(name)
      lists.set(name, list)
    }
    return list
  }

  function setHead(name: string, head: TierHead | null): void {
    const list = listOf(name)
    list.setHead(head)
    if (head === null && list.size === 0) lists.delete(name)
    tiers = null
    governance.tiersChanged()
    feed.tiers()
  }

  function compiledEntry(flat: FlatPolicy): Pick<Entry, 'compiled' | 'domains'> {
    const compiled = compilePolicy(flat, sets)
    return { compiled, domains: domainKey(compiled) }
  }

  function link(entry: Entry): void {
    governance.add(entry.selection, entry.placed)
    for (const selection of entry.compiled.domainSelections) byDomains.add(selection, entry)
  }

  function unlink(entry: Entry): void {
    governance.remove(entry.selection, entry.placed)
    for (const selection of entry.compiled.domainSelections) byDomains.remove(selection, entry)
    for (const hold of entry.compiled.holds) hold.release()
  }

  /** A staged policy came or went: whether the enforced one of its name counts in previews may be another matter now. */
  function preview({ ref, stagedAction }: Policy, present: boolean): void {
    const kind = enforcedKinds[ref.kind]
    if (kind === undefined || stagedAction === undefined) return
    const id = policyId({ ...ref, kind })
    if (replaced.has(id) === present) return
    if (present) replaced.add(id)
    else replaced.delete(id)
    feed.policy(id)
    const enforced = entries.get(id)
    if (enforced !== undefined) governance.touch(enforced.selection)
  }

  function remove(id: string): void {
    const had = entries.get(id)
    if (had === undefined) return
    entries.delete(id)
    feed.policy(id)
    feed.selected(had.selection.members)
    unlink(had)
    leaveList(had.placed)
    preview(had.compiled.value, false)
    index.release(had.selection)
  }

  function leaveList(placed: Placed): void {
    const { list } = placed
    list.remove(placed)
    if (list.size === 0 && list.tier === null) lists.delete(list.name)
  }

  /** Puts a policy in the place of itself; endpoints hear of it only if it governs others, or them in another way. */
  function replace(had: Entry, entry: Omit<Entry, 'placed'>): void {
    const before = had.compiled.value
    const after = entry.compiled.value
    const isInPlace = samePlace(before, after)
    if (!isInPlace) leaveList(had.placed)
    const placed = isInPlace ? had.placed.list.replace(had.placed, after) : listOf(after.ref.tier).insert(after)
    const current = { ...entry, placed }
    entries.set(after.id, current)
    link(current)
    unlink(had)
    if (!isInPlace || had.selection !== entry.selection || !sameScope(before, after)) {
      feed.selected(had.selection.members)
      if (had.selection !== entry.selection) feed.selected(entry.selection.members)
    }
    if (before.stagedAction !== after.stagedAction) {
      preview(before, false)
      preview(after, true)
    }
    index.release(had.selection)
  }

  return {
    putTier: (head) => setHead(head.name, head),
    removeTier: (name) => setHead(name, builtIn.find((head) => head.name === name) ?? null),
    put(flat) {
      const id = policyId(flat.ref)
      // The new one first: sets that both use stay alive.
      const entry = { flat, selection: index.acquire(flat.selector), ...compiledEntry(flat) }
      const had = entries.get(id)
      feed.policy(id)
      if (had !== undefined) {
        replace(had, entry)
        return
      }
      const { value } = entry.compiled
      const placed = listOf(value.ref.tier).insert(value)
      const current = { ...entry, placed }
      entries.set(id, current)
      link(current)
      feed.selected(entry.selection.members)
      preview(value, true)
    },
    remove,
    refreshDomains(selections) {
      const concerned = new Set(selections.flatMap((selection) => [...byDomains.get(selection)]))
      for (const entry of concerned) {
        if (domainKey(entry.compiled) === entry.domains) continue
        const { flat, selection } = entry
        feed.policy(entry.compiled.value.id)
        index.acquire(selection.selector)
        replace(entry, { flat, selection, ...compiledEntry(flat) })
      }
    },
    tiers() {
      tiers ??= [...lists.values()]
        .map(({ tier }) => tier)
        .filter((tier) => tier !== null)
        .sort(compareTiers)
      return tiers
    },
    governing: governance.of,
    selected: (id) => entries.get(id)?.selection.members ?? [],
    replaced: ({ id }) => replaced.has(id),
  }
}

/** True when two editions of a policy govern the same directions at the same stages. */
function sameScope(a: Policy, b: Policy): boolean {
  return (
    a.doNotTrack === b.doNotTrack &&
    a.preDnat === b.preDnat &&
    a.applyOnForward === b.applyOnForward &&
    a.directions.length === b.directions.length &&
    a.directions.every((direction) => b.directions.includes(direction))
  )
}
