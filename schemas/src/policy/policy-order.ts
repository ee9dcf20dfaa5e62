import type { Policy, Tier } from './model.ts'

/** What is known of a tier beside its policies. */
export type TierHead = Pick<Tier, 'name' | 'order' | 'defaultAction'>

/** A policy in the list of its tier. */
export interface Placed {
  readonly policy: Policy
  readonly list: TierList
  /** Place in the list; right after `list.settle()`. */
  place: number
}

/** The policies of one tier in evaluation order, whether the tier exists or not. */
export interface TierList {
  readonly name: string
  /** The tier, its policies kept current; null while no resource makes it. */
  readonly tier: Tier | null
  /** The same tier where policies never end in its default action. */
  readonly passing: Tier | null
  readonly size: number
  setHead(head: TierHead | null): void
  insert(policy: Policy): Placed
  /** Puts a policy in the place of one that has the same name and order. */
  replace(placed: Placed, policy: Policy): Placed
  remove(placed: Placed): void
  /** Makes all places right. */
  settle(): void
}

/** Text that decides between policies of one order: `name/namespace/kind` (spec 14, 3). */
const tieOf = ({ ref }: Policy) => `${ref.name}/${ref.namespace ?? ''}/${ref.kind}`

/** Infinity minus infinity is no number, so plain subtraction will not do. */
const compareOrder = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1)
const compareText = (a: string, b: string) => (a === b ? 0 : a < b ? -1 : 1)

/** Tiers by order, then name. */
export const compareTiers = (a: TierHead, b: TierHead) => compareOrder(a.order, b.order) || compareText(a.name, b.name)

/** True when both stand at the same place of the same tier. */
export const samePlace = (a: Policy, b: Policy) => a.id === b.id && a.ref.tier === b.ref.tier && a.order === b.order

/** Makes the empty list of a tier that does not exist yet. */
export function createTierList(name: string): TierList {
  const placed: Placed[] = []
  const ties: string[] = []
  const policies: Policy[] = []
  /** From here on places are wrong. */
  let unsettled = Number.POSITIVE_INFINITY
  let tier: Tier | null = null
  let passing: Tier | null = null

  /** Where a policy is, or belongs. */
  function find(policy: Policy): number {
    const tie = tieOf(policy)
    let low = 0
    let high = policies.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = policies[middle] as Policy
      if ((compareOrder(other.order, policy.order) || compareText(ties[middle] as string, tie)) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  const list: TierList = {
    name,
    get tier() {
      return tier
    },
    get passing() {
      return passing
    },
    get size() {
      return policies.length
    },
    setHead(head) {
      tier = head && { ...head, policies }
      passing = tier && { ...tier, defaultAction: 'pass' }
    },
    insert(policy) {
      const at = find(policy)
      const entry: Placed = { policy, list, place: at }
      if (at < policies.length) unsettled = Math.min(unsettled, at)
      placed.splice(at, 0, entry)
      ties.splice(at, 0, tieOf(policy))
      policies.splice(at, 0, policy)
      return entry
    },
    replace(old, policy) {
      const at = find(old.policy)
      const entry: Placed = { policy, list, place: at }
      placed[at] = entry
      policies[at] = policy
      return entry
    },
    remove({ policy }) {
      const at = find(policy)
      unsettled = Math.min(unsettled, at)
      placed.splice(at, 1)
      ties.splice(at, 1)
      policies.splice(at, 1)
    },
    settle() {
      for (let at = unsettled; at < placed.length; at++) (placed[at] as Placed).place = at
      unsettled = Number.POSITIVE_INFINITY
    },
  }
  return list
}
