import { builtInTiers } from '../resources/kinds/tier.ts'
import type { ChangeFeed } from './change-feed.ts'
import { type Compiled, compilePolicy, domainKey } from './compile.ts'
import { type FlatPolicy, policyId } from './flat-policy.ts'
import type { Direction, GoverningTier, Policy, PolicyKind, Stage, Tier } from './model.ts'
import type { IndexedItem, Selection, SelectionIndex } from './selection-index.ts'
import type { SetRegistry } from './set-registry.ts'

/** What is known of a tier beside its policies. */
export type TierHead = Pick<Tier, 'name' | 'order' | 'defaultAction'>

/** Tiers, their policies and what these select. */
export interface PolicyStore {
  putTier(tier: TierHead): void
  /** Removes a tier; a built-in one returns to its built-in form. */
  removeTier(name: string): void
  put(flat: FlatPolicy): void
  remove(id: string): void
  /** Compiles again the policies whose network sets have other domain names than before. */
  refreshDomains(): void
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
}

const builtIn: readonly TierHead[] = builtInTiers.map(({ name, order, defaultAction }) => ({
  name,
  order,
  defaultAction: defaultAction === 'Pass' ? 'pass' : 'deny',
}))

/** The kind that a staged kind previews. */
const enforcedKinds: Partial<Record<PolicyKind, PolicyKind>> = { snp: 'np', sgnp: 'gnp', sknp: 'knp' }

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Makes an empty store over an index of selectors and a registry of address sets. */
export function createPolicyStore(
  index: SelectionIndex,
  sets: SetRegistry,
  feed: Pick<ChangeFeed, 'policy' | 'endpoint' | 'tiers'>,
): PolicyStore {
  const heads = new Map(builtIn.map((head) => [head.name, head]))
  const entries = new Map<string, Entry>()
  const bySelection = new Map<Selection, Set<Entry>>()
  let sorted: Sorted | null = null

  function link(entry: Entry): void {
    const had = bySelection.get(entry.selection)
    if (had === undefined) bySelection.set(entry.selection, new Set([entry]))
    else had.add(entry)
  }

  function unlink(entry: Entry): void {
    const had = bySelection.get(entry.selection)
    had?.delete(entry)
    if (had?.size === 0) bySelection.delete(entry.selection)
    for (const hold of entry.compiled.holds) hold.release()
    index.release(entry.selection)
  }

  function compiledEntry(flat: FlatPolicy): Pick<Entry, 'compiled' | 'domains'> {
    const compiled = compilePolicy(flat, sets)
    return { compiled, domains: domainKey(compiled) }
  }

  function remove(id: string): void {
    const had = entries.get(id)
    if (had === undefined) return
    entries.delete(id)
    tell(had)
    unlink(had)
    sorted = null
  }

  function tell({ compiled, selection }: Entry): void {
    feed.policy(compiled.value.id)
    for (const { item } of selection.members) if (item.endpoint !== null) feed.endpoint(item.key)
  }

  const order = (): Sorted => {
    sorted ??= sortTiers(
      [...heads.values()],
      [...entries.values()].map(({ compiled }) => compiled.value),
    )
    return sorted
  }

  return {
    putTier(tier) {
      heads.set(tier.name, tier)
      feed.tiers()
      sorted = null
    },
    removeTier(name) {
      const fixed = builtIn.find((head) => head.name === name)
      if (fixed === undefined) heads.delete(name)
      else heads.set(name, fixed)
      feed.tiers()
      sorted = null
    },
    put(flat) {
      const id = policyId(flat.ref)
      // The new one first: sets that both use stay alive.
      const entry: Entry = { flat, selection: index.acquire(flat.selector), ...compiledEntry(flat) }
      remove(id)
      entries.set(id, entry)
      link(entry)
      tell(entry)
      sorted = null
    },
    remove,
    refreshDomains() {
      for (const entry of entries.values()) {
        const { domainSelections, holds } = entry.compiled
        if (domainSelections.length === 0 || domainKey(entry.compiled) === entry.domains) continue
        Object.assign(entry, compiledEntry(entry.flat))
        for (const hold of holds) hold.release()
        feed.policy(entry.compiled.value.id)
        sorted = null
      }
    },
    tiers: () => order().tiers,
    governing({ selections }, direction, stage) {
      const { positions, tiers } = order()
      const found = new Map<number, Policy[]>()
      for (const selection of selections) {
        for (const { compiled } of bySelection.get(selection) ?? []) {
          const policy = compiled.value
          const position = positions.get(policy)
          if (position === undefined || !policy.directions.includes(direction) || !actsIn(policy, stage)) continue
          const [tier] = position
          const had = found.get(tier)
          if (had === undefined) found.set(tier, [policy])
          else had.push(policy)
        }
      }
      const place = (policy: Policy) => positions.get(policy)?.[1] ?? 0
      return [...found]
        .sort(([a], [b]) => a - b)
        .map(([tier, policies]) => ({
          tier: staged(tiers[tier] as Tier, stage),
          policies: policies.sort((a, b) => place(a) - place(b)),
        }))
    },
    selected: (id) => entries.get(id)?.selection.members ?? [],
    replaced: ({ id }) => order().replaced.has(id),
  }
}

/** Untracked and pre-DNAT policies never end in a tier's default action. */
function staged(tier: Tier, stage: Stage): Tier {
  return stage === 'untracked' || stage === 'pre-dnat' ? { ...tier, defaultAction: 'pass' } : tier
}

function actsIn(policy: Policy, stage: Stage): boolean {
  switch (stage) {
    case 'untracked':
      return policy.doNotTrack
    case 'pre-dnat':
      return policy.preDnat
    case 'forward':
      return policy.applyOnForward && !policy.doNotTrack && !policy.preDnat
    case 'normal':
      return !policy.doNotTrack && !policy.preDnat
  }
}

interface Sorted {
  readonly tiers: readonly Tier[]
  /** Position of the tier and within the tier; policies of tiers that do not exist have none. */
  readonly positions: ReadonlyMap<Policy, readonly [number, number]>
  /** Ids of enforced policies that a staged one replaces or deletes. */
  readonly replaced: ReadonlySet<string>
}

/** Tiers by order, then name; policies by order, then the text `name/namespace/kind` (spec 14, 3). */
function sortTiers(heads: readonly TierHead[], policies: readonly Policy[]): Sorted {
  const byTier = new Map<string, Policy[]>(heads.map(({ name }) => [name, []]))
  const replaced = new Set<string>()
  for (const policy of policies) {
    byTier.get(policy.ref.tier)?.push(policy)
    const kind = enforcedKinds[policy.ref.kind]
    if (kind !== undefined && policy.stagedAction !== undefined) replaced.add(policyId({ ...policy.ref, kind }))
  }
  const tie = ({ ref }: Policy) => `${ref.name}/${ref.namespace ?? ''}/${ref.kind}`
  const tiers = [...heads]
    .sort((a, b) => compareOrder(a.order, b.order) || compareText(a.name, b.name))
    .map((head) => ({
      ...head,
      policies: (byTier.get(head.name) as Policy[]).sort(
        (a, b) => compareOrder(a.order, b.order) || compareText(tie(a), tie(b)),
      ),
    }))
  const positions = new Map<Policy, readonly [number, number]>()
  for (const [tier, { policies: list }] of tiers.entries()) {
    for (const [place, policy] of list.entries()) positions.set(policy, [tier, place])
  }
  return { tiers, positions, replaced }
}

/** Infinity minus infinity is no number, so plain subtraction will not do. */
function compareOrder(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}
