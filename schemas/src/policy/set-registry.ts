import { type CountedSet, createCountedSet } from './address-set.ts'
import type { ChangeFeed } from './change-feed.ts'
import type { Item } from './item.ts'
import type { AddressSet, SetId } from './model.ts'
import type { Selection, SelectionIndex } from './selection-index.ts'
import { parseSelector, type Selector, selectorId } from './selector/selector.ts'
import type { ServiceDirectory } from './services.ts'

/** A hold on what a rule needs; releasing it lets a set go when nobody else holds it. */
export interface Hold {
  release(): void
}

/** The address sets in use. The members of a set are found when it is first asked for or followed, and kept by differences from then on. */
export interface SetRegistry {
  /** Addresses of everything a selector selects. */
  selector(selector: Selector, holds: Hold[]): { readonly id: SetId; readonly selection: Selection }
  /** Addresses and ports of endpoints that declare a named port, among those that a selector selects (all when null). */
  namedPort(port: { name: string; protocol: number | null; selector: Selector | null }, holds: Hold[]): SetId
  /** Addresses and ports behind a service, or its addresses alone. */
  service(service: { namespace: string; name: string }, type: AddressSet['type'], holds: Hold[]): SetId
  /** One object for as long as the set is in use; its members change. */
  get(id: SetId): AddressSet | null
  /** The sets in use. */
  sets(): Iterable<AddressSet>
}

/** Gives a set its members now, and every change of them until the source is stopped. */
type Source = (change: CountedSet['change']) => Hold

interface Entry extends Hold {
  readonly id: SetId
  readonly type: AddressSet['type']
  readonly source: Source
  users: number
  live: { readonly set: CountedSet; readonly source: Hold } | null
}

interface SelectorEntry extends Entry {
  readonly selection: Selection
}

const everything = parseSelector('all()')
const none: readonly string[] = []
const netsOf = (item: Item | null) => item?.nets ?? none

/** Makes an empty registry. */
export function createSetRegistry(
  index: SelectionIndex,
  services: ServiceDirectory,
  feed: Pick<ChangeFeed, 'isFollowed' | 'member' | 'setCame' | 'setGone'>,
): SetRegistry {
  const entries = new Map<SetId, Entry>()

  function add<E extends Entry>(entry: E, holds: Hold[]): E {
    entries.set(entry.id, entry)
    feed.setCame(entry.id)
    if (feed.isFollowed()) live(entry)
    return hold(entry, holds)
  }

  function hold<E extends Entry>(entry: E, holds: Hold[]): E {
    entry.users++
    holds.push(entry)
    return entry
  }

  function end(entry: Entry): void {
    entries.delete(entry.id)
    entry.live?.source.release()
    feed.setGone(entry.id, entry.live?.set.members ?? none)
  }

  function live(entry: Entry): AddressSet {
    if (entry.live === null) {
      const set = createCountedSet(entry.id, entry.type, (member, isMember) => feed.member(entry.id, member, isMember))
      entry.live = { set, source: entry.source(set.change) }
    }
    return entry.live.set
  }

  function released(this: Entry): void {
    if (--this.users === 0) end(this)
  }

  /** What the items of a selection name, as members. */
  const named =
    (selection: Selection, membersOf: (item: Item | null) => readonly string[]): Source =>
    (change) => {
      change(
        none,
        [...selection.members].flatMap(({ item }) => membersOf(item)),
      )
      const watcher = (before: Item | null, after: Item | null) => change(membersOf(before), membersOf(after))
      selection.watch(watcher)
      return { release: () => selection.unwatch(watcher) }
    }

  function ofSelection(
    id: SetId,
    type: AddressSet['type'],
    selector: Selector,
    membersOf: (item: Item | null) => readonly string[],
  ): SelectorEntry {
    const selection = index.acquire(selector)
    return {
      id,
      type,
      selection,
      source: named(selection, membersOf),
      users: 0,
      live: null,
      release() {
        if (--this.users > 0) return
        end(this)
        index.release(selection)
      },
    }
  }

  return {
    selector(selector, holds) {
      const id = selectorId(selector.canonical)
      const had = entries.get(id) as SelectorEntry | undefined
      return had === undefined ? add(ofSelection(id, 'net', selector, netsOf), holds) : hold(had, holds)
    },
    namedPort({ name, protocol, selector }, holds) {
      const from = selector ?? everything
      const id = `n:${protocol ?? 'any'},${name},${selector === null ? 'all' : selectorId(from.canonical).slice(2)}`
      const had = entries.get(id)
      if (had !== undefined) hold(had, holds)
      else
        add(
          ofSelection(id, 'ip-port', from, (item) => portsOf(item, name, protocol)),
          holds,
        )
      return id
    },
    service(service, type, holds) {
      const id = `${type === 'net' ? 'svc-ip' : 'svc'}:${service.namespace}/${service.name}`
      const had = entries.get(id)
      if (had !== undefined) hold(had, holds)
      else {
        const source: Source = (change) => services.watch(service, type, change)
        add({ id, type, source, users: 0, live: null, release: released }, holds)
      }
      return id
    },
    get(id) {
      const entry = entries.get(id)
      return entry === undefined ? null : live(entry)
    },
    *sets() {
      for (const entry of entries.values()) yield live(entry)
    },
  }
}

function portsOf(item: Item | null, name: string, protocol: number | null): readonly string[] {
  const ports = item?.endpoint?.ports ?? []
  if (ports.length === 0) return none
  return ports
    .filter((port) => port.name === name && (protocol === null || port.protocol === protocol))
    .flatMap((port) => netsOf(item).map((ip) => `${ip},${port.protocol},${port.port}`))
}
