import type { ChangeFeed } from './change-feed.ts'
import { createNetworkSetIndex } from './identities.ts'
import { canonicalAddress, parseAddress } from './ip.ts'
import type { Item } from './item.ts'
import type { Endpoint, Labels } from './model.ts'
import type { FlatProfile } from './profiles.ts'
import type { IndexedItem, SelectionIndex } from './selection-index.ts'

/** Endpoints and network sets with the labels they inherit, by key and by address. */
export interface EndpointStore {
  /** Puts the item that a resource makes; where two resources make one item, the one of greater `rank` counts. */
  put(source: string, rank: number, item: Item): void
  remove(source: string): void
  putProfile(profile: FlatProfile): void
  removeProfile(name: string): void
  profile(name: string): FlatProfile | null
  /** Names of the profiles that resources make. */
  profiles(): Iterable<string>
  indexed(key: string): IndexedItem | null
  endpoint(key: string): Endpoint | null
  endpoints(): Iterable<Endpoint>
  endpointByIp(ip: string): Endpoint | null
  /** The network set that names an address, preferring those of a namespace. */
  networkSet(ip: string, namespace: string | null): Item | null
  workloads(namespace: string): Iterable<Item>
  /** Grows when any endpoint changes. */
  version(): number
  /** True once since the last call when a set with domain names came, went or changed. */
  takeDomainChange(): boolean
}

interface Claim {
  readonly rank: number
  readonly item: Item
}

/** Makes an empty store that keeps the index of selectors up to date. `imply` gives profiles that no resource makes. */
export function createEndpointStore(
  index: SelectionIndex,
  imply: (name: string) => FlatProfile | null,
  feed: Pick<ChangeFeed, 'endpoint' | 'profile'>,
): EndpointStore {
  const claims = new Map<string, Map<string, Claim>>()
  const keyOfSource = new Map<string, string>()
  const profiles = new Map<string, FlatProfile>()
  /** Profiles that nothing makes, so that each is one object. */
  const implied = new Map<string, FlatProfile | null>()
  const heirs = new Map<string, Set<string>>()
  const endpoints = new Map<string, Endpoint>()
  const byIp = new Map<string, string[]>()
  const byNamespace = new Map<string, Set<string>>()
  const sets = createNetworkSetIndex()
  let version = 0
  let domainsChanged = false

  function profile(name: string): FlatProfile | null {
    const given = profiles.get(name)
    if (given !== undefined) return given
    let known = implied.get(name)
    if (known === undefined) {
      known = imply(name)
      implied.set(name, known)
    }
    return known
  }

  function labelsOf({ labels, profiles: parents }: Item): Labels {
    const merged: Record<string, string> = Object.create(null)
    for (const parent of [...parents].reverse()) Object.assign(merged, profile(parent)?.labels)
    return Object.assign(merged, labels)
  }

  /** Gives an item the labels it has now, new or known. */
  function label(item: Item): void {
    const labels = labelsOf(item)
    index.put(item, labels)
    if (item.domains.length > 0) domainsChanged = true
    if (item.endpoint === null) return
    version++
    feed.endpoint(item.key)
    endpoints.set(item.key, {
      key: item.key,
      kind: item.kind as Endpoint['kind'],
      namespace: item.namespace,
      name: item.name,
      ...item.endpoint,
      ips: item.nets,
      labels,
      ownLabels: item.ownLabels,
      profiles: item.profiles,
    })
  }

  function enter(item: Item): void {
    label(item)
    for (const parent of item.profiles) addTo(heirs, parent, item.key)
    if (item.endpoint === null) {
      sets.put(item)
      return
    }
    if (item.kind === 'wep') addTo(byNamespace, item.namespace as string, item.key)
    for (const ip of item.nets) {
      // Workloads before hosts, the newest first: an address is reused before its old owner is seen to go.
      const others = byIp.get(ip) ?? []
      byIp.set(ip, item.kind === 'wep' ? [item.key, ...others] : [...others, item.key])
    }
  }

  function leave(key: string): void {
    const item = index.get(key)?.item
    if (item === undefined) return
    index.remove(key)
    for (const parent of item.profiles) removeFrom(heirs, parent, key)
    if (item.domains.length > 0) domainsChanged = true
    if (item.endpoint === null) {
      sets.remove(item)
      return
    }
    version++
    feed.endpoint(key)
    endpoints.delete(key)
    if (item.kind === 'wep') removeFrom(byNamespace, item.namespace as string, key)
    for (const ip of item.nets) {
      const others = (byIp.get(ip) ?? []).filter((other) => other !== key)
      if (others.length === 0) byIp.delete(ip)
      else byIp.set(ip, others)
    }
  }

  /** Lets the claim of greatest rank be the item, if it is not already. */
  function settle(key: string): void {
    const best = [...(claims.get(key)?.values() ?? [])].sort((a, b) => b.rank - a.rank)[0]
    const current = index.get(key)?.item
    if (best?.item === current) return
    leave(key)
    if (best !== undefined) enter(best.item)
  }

  function remove(source: string): void {
    const key = keyOfSource.get(source)
    if (key === undefined) return
    keyOfSource.delete(source)
    const of = claims.get(key)
    of?.delete(source)
    if (of?.size === 0) claims.delete(key)
    settle(key)
  }

  function inherit(name: string): void {
    for (const key of heirs.get(name) ?? []) {
      const item = index.get(key)?.item
      if (item !== undefined) label(item)
    }
  }

  return {
    put(source, rank, item) {
      const had = keyOfSource.get(source)
      if (had !== undefined && had !== item.key) remove(source)
      keyOfSource.set(source, item.key)
      const of = claims.get(item.key) ?? new Map<string, Claim>()
      const before = of.get(source)
      const same = before !== undefined && JSON.stringify(before.item) === JSON.stringify(item)
      of.set(source, same ? before : { rank, item })
      claims.set(item.key, of)
      settle(item.key)
    },
    remove,
    putProfile(given) {
      const before = profile(given.name)
      profiles.set(given.name, given)
      feed.profile(given.name)
      if (JSON.stringify(before?.labels) !== JSON.stringify(given.labels)) inherit(given.name)
    },
    removeProfile(name) {
      if (!profiles.delete(name)) return
      feed.profile(name)
      inherit(name)
    },
    profile,
    profiles: () => profiles.keys(),
    indexed: (key) => index.get(key),
    endpoint: (key) => endpoints.get(key) ?? null,
    endpoints: () => endpoints.values(),
    endpointByIp(ip) {
      const key = (byIp.get(ip) ?? byIp.get(canonicalAddress(ip)))?.[0]
      return key === undefined ? null : (endpoints.get(key) ?? null)
    },
    networkSet(ip, namespace) {
      const address = parseAddress(ip)
      return address === null ? null : sets.find(address, namespace)
    },
    *workloads(namespace) {
      for (const key of byNamespace.get(namespace) ?? []) {
        const item = index.get(key)?.item
        if (item !== undefined) yield item
      }
    },
    version: () => version,
    takeDomainChange() {
      const changed = domainsChanged
      domainsChanged = false
      return changed
    },
  }
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const had = map.get(key)
  if (had === undefined) map.set(key, new Set([value]))
  else had.add(value)
}

function removeFrom(map: Map<string, Set<string>>, key: string, value: string): void {
  const had = map.get(key)
  had?.delete(value)
  if (had?.size === 0) map.delete(key)
}
