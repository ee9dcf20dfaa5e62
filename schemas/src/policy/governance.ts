import type { Direction, GoverningTier, Policy, Stage } from './model.ts'
import { compareTiers, type Placed, type TierList } from './policy-order.ts'
import type { IndexedItem, Selection } from './selection-index.ts'

/**
 * Which policies govern an endpoint, remembered by endpoint. An edit of a policy touches only its selection; endpoints find out when asked
 * next, by editions, so that a policy that selects everything costs no more than another.
 */
export interface Governance {
  add(selection: Selection, placed: Placed): void
  remove(selection: Selection, placed: Placed): void
  /** Something about a policy of the selection is otherwise. */
  touch(selection: Selection): void
  tiersChanged(): void
  /** The same list until something in it is otherwise. */
  of(indexed: IndexedItem, direction: Direction, stage: Stage): readonly GoverningTier[]
}

/** The policies that have one selector. */
interface Group {
  readonly policies: Set<Placed>
  edition: number
}

/** What is remembered of an endpoint. */
interface Memory {
  /** Of everything, when this was last known to be right. */
  edition: number
  /** Of the endpoint's selections. */
  readonly joined: number
  /** Of tiers, and of which selections have policies. */
  readonly shape: number
  readonly groups: readonly Group[]
  /** Of the groups, in total. */
  readonly sum: number
  readonly lists: (readonly GoverningTier[] | undefined)[]
}

const stages: Readonly<Record<Stage, number>> = { normal: 0, untracked: 1, 'pre-dnat': 2, forward: 3 }
const nothing: readonly GoverningTier[] = []

/** Makes the governance of a cluster without policies. */
export function createGovernance(): Governance {
  const groups = new Map<Selection, Group>()
  const memories = new WeakMap<IndexedItem, Memory>()
  let edition = 0
  let shape = 0

  function touched(group: Group): void {
    group.edition++
    edition++
  }

  const sumOf = (list: readonly Group[]) => list.reduce((sum, group) => sum + group.edition, 0)

  function recall(indexed: IndexedItem): Memory {
    const had = memories.get(indexed)
    if (had !== undefined && had.joined === indexed.edition) {
      if (had.edition === edition) return had
      if (had.shape === shape && had.sum === sumOf(had.groups)) {
        had.edition = edition
        return had
      }
    }
    const own = indexed.selections.map((selection) => groups.get(selection)).filter((group) => group !== undefined)
    const memory = { edition, joined: indexed.edition, shape, groups: own, sum: sumOf(own), lists: [] }
    memories.set(indexed, memory)
    return memory
  }

  return {
    add(selection, placed) {
      let group = groups.get(selection)
      if (group === undefined) {
        group = { policies: new Set(), edition: 0 }
        groups.set(selection, group)
        shape++
      }
      group.policies.add(placed)
      touched(group)
    },
    remove(selection, placed) {
      const group = groups.get(selection)
      if (group === undefined) return
      group.policies.delete(placed)
      touched(group)
      if (group.policies.size > 0) return
      groups.delete(selection)
      shape++
    },
    touch(selection) {
      const group = groups.get(selection)
      if (group !== undefined) touched(group)
    },
    tiersChanged() {
      shape++
      edition++
    },
    of(indexed, direction, stage) {
      const memory = recall(indexed)
      const at = stages[stage] * 2 + (direction === 'ingress' ? 0 : 1)
      const had = memory.lists[at]
      if (had !== undefined) return had
      const list = gather(memory.groups, direction, stage)
      memory.lists[at] = list
      return list
    },
  }
}

function gather(groups: readonly Group[], direction: Direction, stage: Stage): readonly GoverningTier[] {
  const found: Placed[] = []
  for (const { policies } of groups) {
    for (const placed of policies) {
      const { policy, list } = placed
      if (list.tier !== null && policy.directions.includes(direction) && actsIn(policy, stage)) found.push(placed)
    }
  }
  if (found.length === 0) return nothing
  const byTier = new Map<TierList, Placed[]>()
  for (const placed of found) {
    const had = byTier.get(placed.list)
    if (had === undefined) byTier.set(placed.list, [placed])
    else had.push(placed)
  }
  return [...byTier]
    .flatMap(([list, policies]) => {
      // Untracked and pre-DNAT policies never end in a tier's default action.
      const tier = stage === 'untracked' || stage === 'pre-dnat' ? list.passing : list.tier
      if (tier === null) return []
      list.settle()
      return [{ tier, policies: policies.sort((a, b) => a.place - b.place).map(({ policy }) => policy) }]
    })
    .sort((a, b) => compareTiers(a.tier, b.tier))
}

/** True when a policy is asked in a stage. */
export function actsIn(policy: Policy, stage: Stage): boolean {
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
