import { createAddressSet } from './address-set.ts'
import type { ChangeFeed } from './change-feed.ts'
import { canonicalCidrs } from './ip.ts'
import type { AddressSet, SetId } from './model.ts'
import type { Selection, SelectionIndex } from './selection-index.ts'
import { parseSelector, type Selector, selectorId } from './selector/selector.ts'
import type { ServiceDirectory } from './services.ts'

/** A hold on what a rule needs; releasing it lets a set go when nobody else holds it. */
export interface Hold {
  release(): void
}

/** The address sets in use. A set is computed when asked for, and again only when something under it has changed. */
export interface SetRegistry {
  /** Addresses of everything a selector selects. */
  selector(selector: Selector, holds: Hold[]): { readonly id: SetId; readonly selection: Selection }
  /** Addresses and ports of endpoints that declare a named port, among those that a selector selects (all when null). */
  namedPort(port: { name: string; protocol: number | null; selector: Selector | null }, holds: Hold[]): SetId
  /** Addresses and ports behind a service, or its addresses alone. */
  service(service: { namespace: string; name: string }, type: AddressSet['type'], holds: Hold[]): SetId
  get(id: SetId): AddressSet | null
  /** The sets in use. */
  sets(): Iterable<AddressSet>
  /** Tells the feed which members came and went. */
  settle(): void
}

interface Entry {
  users: number
  readonly type: AddressSet['type']
  /** Changes whenever the members may have changed. */
  readonly version: () => number
  readonly members: () => ReadonlySet<string>
  current: { readonly version: number; readonly set: AddressSet } | null
  /** Members that the feed was told. */
  told: ReadonlySet<string>
}

const everything = parseSelector('all()')

const none: ReadonlySet<string> = new Set()

/** Makes an empty registry. */
export function createSetRegistry(
  index: SelectionIndex,
  services: ServiceDirectory,
  feed: Pick<ChangeFeed, 'member' | 'setCame' | 'setGone'>,
): SetRegistry {
  const entries = new Map<SetId, Entry>()

  function hold(id: SetId, holds: Hold[], make: () => Omit<Entry, 'users' | 'current' | 'told'>): void {
    let entry = entries.get(id)
    if (entry === undefined) {
      entry = { ...make(), users: 0, current: null, told: none }
      entries.set(id, entry)
      feed.setCame(id)
    }
    const held = entry
    held.users++
    holds.push({
      release() {
        if (--held.users > 0) return
        entries.delete(id)
        feed.setGone(id, held.told)
      },
    })
  }

  return {
    selector(selector, holds) {
      const id = selectorId(selector.canonical)
      const selection = index.acquire(selector)
      holds.push({ release: () => index.release(selection) })
      hold(id, holds, () => ({
        type: 'net',
        version: () => selection.version,
        members: () => addressesOf(selection),
      }))
      return { id, selection }
    },
    namedPort({ name, protocol, selector }, holds) {
      const from = selector ?? everything
      const selection = index.acquire(from)
      holds.push({ release: () => index.release(selection) })
      const id = `n:${protocol ?? 'any'},${name},${selector === null ? 'all' : selectorId(from.canonical).slice(2)}`
      hold(id, holds, () => ({
        type: 'ip-port',
        version: () => selection.version,
        members: () => portsOf(selection, name, protocol),
      }))
      return id
    },
    service(service, type, holds) {
      const id = `${type === 'net' ? 'svc-ip' : 'svc'}:${service.namespace}/${service.name}`
      hold(id, holds, () => ({
        type,
        version: () => services.version(),
        members: () =>
          new Set(
            services
              .backends(service)
              .map(({ ip, protocol, port }) => (type === 'net' ? ip : `${ip},${protocol},${port}`)),
          ),
      }))
      return id
    },
    get,
    sets: () => [...entries.keys()].map((id) => get(id)).filter((set) => set !== null),
    settle() {
      for (const [id, entry] of entries) {
        const { members } = get(id) as AddressSet
        if (members === entry.told) continue
        for (const member of entry.told) if (!members.has(member)) feed.member(id, member, false)
        for (const member of members) if (!entry.told.has(member)) feed.member(id, member, true)
        entry.told = members
      }
    },
  }

  function get(id: SetId): AddressSet | null {
    const entry = entries.get(id)
    if (entry === undefined) return null
    const version = entry.version()
    if (entry.current?.version !== version) {
      const members = entry.members()
      const had = entry.current?.set
      const set =
        had !== undefined && sameMembers(had.members, members) ? had : createAddressSet(id, entry.type, members)
      entry.current = { version, set }
    }
    return entry.current.set
  }
}

function addressesOf(selection: Selection): ReadonlySet<string> {
  const members = new Set<string>()
  let blocks = false
  for (const { item } of selection.members) {
    for (const net of item.nets) {
      members.add(net)
      blocks ||= net.includes('/')
    }
  }
  return blocks ? new Set(canonicalCidrs(members)) : members
}

function portsOf(selection: Selection, name: string, protocol: number | null): ReadonlySet<string> {
  const members = new Set<string>()
  for (const { item } of selection.members) {
    for (const port of item.endpoint?.ports ?? []) {
      if (port.name !== name || (protocol !== null && port.protocol !== protocol)) continue
      for (const ip of item.nets) members.add(`${ip},${port.protocol},${port.port}`)
    }
  }
  return members
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false
  for (const member of a) if (!b.has(member)) return false
  return true
}
