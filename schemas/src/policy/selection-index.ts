import type { Item } from './item.ts'
import type { Labels } from './model.ts'
import { type Restrictions, restrictionsOf } from './selector/restrictions.ts'
import type { Selector } from './selector/selector.ts'

/** An item with the labels it has in the end, and the selections it is in. */
export interface IndexedItem {
  readonly item: Item
  /** Own labels and those inherited from profiles. */
  readonly labels: Labels
  readonly selections: Set<Selection>
}

/** The items that one selector selects, kept current. */
export interface Selection {
  readonly selector: Selector
  readonly members: ReadonlySet<IndexedItem>
  /** Grows when an item joins, leaves or changes. */
  readonly version: number
}

/** Which selectors select which items. Both sides are indexed by label, so that neither change tries everything (spec 14, 1.5). */
export interface SelectionIndex {
  /** The selection of a selector, shared by all that ask; each acquire needs a release. */
  acquire(selector: Selector): Selection
  release(selection: Selection): void
  put(item: Item, labels: Labels): void
  remove(key: string): void
  get(key: string): IndexedItem | null
  items(): Iterable<IndexedItem>
}

interface Entry extends Selection {
  readonly members: Set<IndexedItem>
  version: number
  users: number
  readonly buckets: readonly string[]
}

/** Bucket of things that can be told by no label. */
const unrestricted = ''
const present = (label: string) => `${label}\n`
const valued = (label: string, value: string) => `${label}\n=${value}`

/** The buckets an entry is filed under: by the label that narrows most. */
function bucketsOf(restrictions: Restrictions): readonly string[] {
  let best: readonly string[] | null = null
  for (const [label, { presence, values }] of restrictions) {
    const buckets =
      values !== undefined
        ? [...values].map((value) => valued(label, value))
        : presence === 'present'
          ? [present(label)]
          : null
    if (buckets === null) continue
    const narrower = best === null || (values !== undefined && (isPresence(best) || buckets.length < best.length))
    if (narrower) best = buckets
  }
  return best ?? [unrestricted]
}

const isPresence = (buckets: readonly string[]) => buckets.length === 1 && buckets[0]?.endsWith('\n') === true

/** Makes an empty index. */
export function createSelectionIndex(): SelectionIndex {
  const selections = new Map<string, Entry>()
  const selectionsIn = createBuckets<Entry>()
  const items = new Map<string, IndexedItem>()
  const itemsIn = createBuckets<IndexedItem>()

  function join(entry: Entry, indexed: IndexedItem): void {
    entry.members.add(indexed)
    indexed.selections.add(entry)
    entry.version++
  }

  function leaveAll(indexed: IndexedItem): void {
    for (const selection of indexed.selections) {
      const entry = selection as Entry
      entry.members.delete(indexed)
      entry.version++
    }
    for (const bucket of itemBuckets(indexed.labels)) itemsIn.remove(bucket, indexed)
    items.delete(indexed.item.key)
  }

  return {
    acquire(selector) {
      const had = selections.get(selector.canonical)
      if (had !== undefined) {
        had.users++
        return had
      }
      const buckets = bucketsOf(restrictionsOf(selector.expression))
      const entry: Entry = { selector, members: new Set(), version: 0, users: 1, buckets }
      selections.set(selector.canonical, entry)
      for (const bucket of buckets) {
        selectionsIn.add(bucket, entry)
        for (const indexed of itemsIn.in(bucket)) if (selector.matches(indexed.labels)) join(entry, indexed)
      }
      return entry
    },
    release(selection) {
      const entry = selection as Entry
      if (--entry.users > 0) return
      selections.delete(entry.selector.canonical)
      for (const bucket of entry.buckets) selectionsIn.remove(bucket, entry)
      for (const indexed of entry.members) indexed.selections.delete(entry)
    },
    put(item, labels) {
      const had = items.get(item.key)
      if (had !== undefined) leaveAll(had)
      const indexed: IndexedItem = { item, labels, selections: new Set() }
      items.set(item.key, indexed)
      for (const bucket of itemBuckets(labels)) {
        itemsIn.add(bucket, indexed)
        for (const entry of selectionsIn.in(bucket)) if (entry.selector.matches(labels)) join(entry, indexed)
      }
    },
    remove(key) {
      const had = items.get(key)
      if (had !== undefined) leaveAll(had)
    },
    get: (key) => items.get(key) ?? null,
    items: () => items.values(),
  }
}

function* itemBuckets(labels: Labels): Iterable<string> {
  yield unrestricted
  for (const [label, value] of Object.entries(labels)) {
    yield present(label)
    yield valued(label, value)
  }
}

function createBuckets<T>() {
  const buckets = new Map<string, Set<T>>()
  return {
    in: (bucket: string): Iterable<T> => buckets.get(bucket) ?? [],
    add(bucket: string, member: T): void {
      const had = buckets.get(bucket)
      if (had === undefined) buckets.set(bucket, new Set([member]))
      else had.add(member)
    },
    remove(bucket: string, member: T): void {
      const had = buckets.get(bucket)
      had?.delete(member)
      if (had?.size === 0) buckets.delete(bucket)
    },
  }
}
