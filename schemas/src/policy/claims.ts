import type { Item } from './item.ts'
import { sameItem } from './item-comparison.ts'

/** What follows from a claim: items that are no more, by key, and items that are there, known or not. */
export interface Settlement {
  readonly gone: readonly string[]
  readonly present: readonly Item[]
}

/**
 * Which items resources make where several speak of one thing: a WorkloadEndpoint says more about a pod than the Pod itself, and one of
 * several WorkloadEndpoints of a pod is the pod, the others are further interfaces of it.
 */
export interface Claims {
  /** A resource makes an item; where several make one of its key, those of the greatest `rank` count. */
  put(source: string, rank: number, item: Item): Settlement
  remove(source: string): Settlement
  /** Key of the item that a resource makes; null when it makes none, or one that another says more about. */
  keyOf(source: string): string | null
}

interface Claim {
  readonly source: string
  readonly rank: number
  readonly item: Item
}

const none: readonly never[] = []
const nothing: Settlement = { gone: [], present: [] }

/** Makes claims of no resources. */
export function createClaims(): Claims {
  const bySource = new Map<string, Claim>()
  const byKey = new Map<string, readonly Claim[]>()

  function settle(key: string, claims: readonly Claim[]): Settlement {
    const before = countingOf(byKey.get(key) ?? none).map(({ item }) => item)
    const present = countingOf(claims).map(({ item }) => item)
    if (claims.length === 0) byKey.delete(key)
    else byKey.set(key, claims)
    if (before.length === 0) return { gone: none, present }
    const gone = before.filter((item) => !present.some((other) => other.key === item.key)).map((item) => item.key)
    return { gone, present }
  }

  function remove(source: string): Settlement {
    const had = bySource.get(source)
    if (had === undefined) return nothing
    bySource.delete(source)
    const { key } = had.item
    return settle(
      key,
      (byKey.get(key) ?? []).filter((claim) => claim !== had),
    )
  }

  return {
    put(source, rank, item) {
      const had = bySource.get(source)
      if (had !== undefined && had.rank === rank && sameItem(had.item, item)) return nothing
      const moved = had !== undefined && had.item.key !== item.key ? remove(source) : nothing
      const claim = { source, rank, item }
      bySource.set(source, claim)
      const claims = byKey.get(item.key)
      const others = claims?.filter((other) => other.source !== source) ?? none
      const { gone, present } = settle(item.key, others.length === 0 ? [claim] : [...others, claim])
      return moved === nothing
        ? { gone, present }
        : { gone: [...moved.gone, ...gone], present: [...moved.present, ...present] }
    },
    remove,
    keyOf(source) {
      const had = bySource.get(source)
      const claims = had === undefined ? none : (byKey.get(had.item.key) ?? none)
      return countingOf(claims).find((claim) => claim.source === source)?.item.key ?? null
    },
  }
}

/** The claims that count. The first by name is the thing itself; its further parts have keys of their own. */
function countingOf(claims: readonly Claim[]): readonly Claim[] {
  if (claims.length <= 1) return claims
  const rank = Math.max(...claims.map((claim) => claim.rank))
  const counting = claims.filter((claim) => claim.rank === rank).sort((a, b) => (a.source < b.source ? -1 : 1))
  const found: Claim[] = []
  for (const claim of counting) {
    const { source, item } = claim
    const part = found.some((other) => other.item.part === item.part) ? source : item.part
    found.push(found.length === 0 ? claim : { ...claim, item: { ...item, key: `${item.key}/${part}` } })
  }
  return found
}
