import { createFiles, type Filing, filingOf } from './filing.ts'
import type { Item } from './item.ts'
import { samePorts, sameTexts } from './item-comparison.ts'
import type { Labels } from './model.ts'
import { labelsOf } from './selector/expression.ts'
import type { Selector } from './selector/selector.ts'

/** An item with the labels it has in the end, and the selections it is in. One object for as long as the item is there. */
export interface IndexedItem {
  readonly item: Item
  /** Own labels and those inherited from profiles. */
  readonly labels: Labels
  readonly selections: readonly Selection[]
  /** Grows when the item joins or leaves a selection. */
  readonly edition: number
}

/** Hears of what a selection selects: an item that was there is there no more or is another, one is there that was not. */
export type SelectionWatcher = (before: Item | null, after: Item | null) => void

/** The items that one selector selects, kept current. */
export interface Selection {
  readonly selector: Selector
  /** After the last release, those it had then. */
  readonly members: ReadonlySet<IndexedItem>
  /** Domain names of the network sets in it, sorted. */
  domains(): string[]
  watch(watcher: SelectionWatcher): void
  unwatch(watcher: SelectionWatcher): void
}

/**
 * Which selectors select which items. Both sides are indexed by label, so that neither change tries everything (spec 14, 1.5); a change of
 * an item tries only selectors that ask for a label which changed.
 */
export interface SelectionIndex {
  /** The selection of a selector, shared by all that ask; each acquire needs a release. */
  acquire(selector: Selector): Selection
  release(selection: Selection): void
  put(item: Item, labels: Labels): void
  remove(key: string): void
  get(key: string): IndexedItem | null
  items(): Iterable<IndexedItem>
  /** Selections whose domain names may have changed since the last call. */
  takeDomainChanges(): readonly Selection[]
}

interface Entry extends Selection {
  readonly members: Set<MutableItem>
  /** Labels that the selector asks for. */
  readonly asks: ReadonlySet<string>
  readonly filing: Filing
  readonly watchers: Set<SelectionWatcher>
  /** Members with domain names. */
  readonly named: Set<IndexedItem>
  users: number
}

interface MutableItem extends IndexedItem {
  item: Item
  labels: Labels
  readonly selections: Entry[]
  edition: number
}

/** Makes an empty index. */
export function createSelectionIndex(): SelectionIndex {
  const selections = new Map<string, Entry>()
  const items = new Map<string, MutableItem>()
  const files = createFiles<Entry, MutableItem>()
  const withOtherDomains = new Set<Selection>()

  function join(entry: Entry, indexed: MutableItem): void {
    entry.members.add(indexed)
    indexed.selections.push(entry)
    indexed.edition++
    note(entry, indexed, null, indexed.item)
  }

  function leave(entry: Entry, indexed: MutableItem): void {
    entry.members.delete(indexed)
    unlist(entry, indexed)
    note(entry, indexed, indexed.item, null)
  }

  function unlist(entry: Entry, indexed: MutableItem): void {
    const { selections: list } = indexed
    const last = list.pop()
    indexed.edition++
    if (last !== entry && last !== undefined) list[list.indexOf(entry)] = last
  }

  function note(entry: Entry, indexed: IndexedItem, before: Item | null, after: Item | null): void {
    for (const watcher of entry.watchers) watcher(before, after)
    if (sameDomains(before, after)) return
    if (after !== null && after.domains.length > 0) entry.named.add(indexed)
    else entry.named.delete(indexed)
    withOtherDomains.add(entry)
  }

  function enter(item: Item, labels: Labels): void {
    const indexed: MutableItem = { item, labels, selections: [], edition: 0 }
    items.set(item.key, indexed)
    files.put(indexed)
    for (const entry of files.asking(labels)) if (entry.selector.matches(labels)) join(entry, indexed)
  }

  function change(indexed: MutableItem, item: Item, labels: Labels): void {
    const before = { item: indexed.item, labels: indexed.labels }
    const changed = differences(before.labels, labels)
    const asksForChanged = ({ asks }: Entry) => changed.some((label) => asks.has(label))
    if (changed.length > 0) {
      for (const entry of [...indexed.selections])
        if (asksForChanged(entry) && !entry.selector.matches(labels)) leave(entry, indexed)
    }
    indexed.item = item
    indexed.labels = labels
    if (!sameMeaning(before.item, item)) for (const entry of indexed.selections) note(entry, indexed, before.item, item)
    if (changed.length === 0) return
    files.move(indexed, before.labels, changed)
    for (const entry of files.asking(labels))
      if (asksForChanged(entry) && !entry.members.has(indexed) && entry.selector.matches(labels)) join(entry, indexed)
  }

  return {
    acquire(selector) {
      const had = selections.get(selector.canonical)
      if (had !== undefined) {
        had.users++
        return had
      }
      const watchers = new Set<SelectionWatcher>()
      const named = new Set<IndexedItem>()
      const filing = filingOf(selector.expression)
      const entry: Entry = {
        selector,
        members: new Set(),
        asks: new Set(labelsOf(selector.expression)),
        filing,
        watchers,
        named,
        users: 1,
        domains: () => [...new Set([...named].flatMap(({ item }) => item.domains))].sort(),
        watch: (watcher) => void watchers.add(watcher),
        unwatch: (watcher) => void watchers.delete(watcher),
      }
      selections.set(selector.canonical, entry)
      for (const indexed of files.add(entry, filing, items.values()))
        if (selector.matches(indexed.labels)) join(entry, indexed)
      return entry
    },
    release(selection) {
      const entry = selection as Entry
      if (--entry.users > 0) return
      selections.delete(entry.selector.canonical)
      files.remove(entry, entry.filing)
      for (const indexed of entry.members) unlist(entry, indexed)
      withOtherDomains.delete(entry)
    },
    put(item, labels) {
      const had = items.get(item.key)
      if (had === undefined) enter(item, labels)
      else change(had, item, labels)
    },
    remove(key) {
      const had = items.get(key)
      if (had === undefined) return
      for (const entry of [...had.selections]) leave(entry, had)
      files.drop(had)
      items.delete(key)
    },
    get: (key) => items.get(key) ?? null,
    items: () => items.values(),
    takeDomainChanges() {
      if (withOtherDomains.size === 0) return []
      const taken = [...withOtherDomains]
      withOtherDomains.clear()
      return taken
    },
  }
}

const none: readonly never[] = []

function sameDomains(before: Item | null, after: Item | null): boolean {
  return sameTexts(before?.domains ?? none, after?.domains ?? none)
}

/** True when two states of an item name the same addresses, ports and domains. */
function sameMeaning(a: Item, b: Item): boolean {
  return (
    sameTexts(a.nets, b.nets) &&
    sameTexts(a.domains, b.domains) &&
    samePorts(a.endpoint?.ports ?? none, b.endpoint?.ports ?? none)
  )
}

/** Labels that only one of two has, or that have different values. */
function differences(before: Labels, after: Labels): string[] {
  if (before === after) return []
  const changed = Object.keys(after).filter((label) => !Object.hasOwn(before, label) || before[label] !== after[label])
  for (const label of Object.keys(before)) if (!Object.hasOwn(after, label)) changed.push(label)
  return changed
}
