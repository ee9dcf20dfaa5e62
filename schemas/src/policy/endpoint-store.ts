import { createAddressOwners } from './address-owners.ts'
import type { ChangeFeed } from './change-feed.ts'
import { createClaims, type Settlement } from './claims.ts'
import { createInheritance } from './inheritance.ts'
import type { Item } from './item.ts'
import { sameItem } from './item-comparison.ts'
import type { Endpoint, Labels } from './model.ts'
import { createNetworkSetIndex } from './network-sets.ts'
import type { FlatProfile } from './profiles.ts'
import type { IndexedItem, SelectionIndex } from './selection-index.ts'
import { createSetMap } from './set-map.ts'

/** Endpoints and network sets with the labels they inherit, by key and by address. */
export interface EndpointStore {
  /** Puts the item that a resource makes; where two resources make one item, the one of greater `rank` counts. True when anything changed. */
  put(source: string, rank: number, item: Item): boolean
  remove(source: string): boolean
  putProfile(profile: FlatProfile): void
  removeProfile(name: string): void
  profile(name: string): FlatProfile | null
  /** Names of the profiles that resources make. */
  profiles(): Iterable<string>
  indexed(key: string): IndexedItem | null
  endpoint(key: string): Endpoint | null
  endpoints(): Iterable<Endpoint>
  /** The endpoint that a resource makes. */
  endpointOf(source: string): Endpoint | null
  endpointByIp(ip: string): Endpoint | null
  hostEndpoints(node: string): readonly Endpoint[]
  /** The network set that names an address, preferring those of a namespace. */
  networkSet(ip: string, namespace: string | null, domains: readonly string[]): Item | null
  workloads(namespace: string): Iterable<Item>
}

/** What a store stands on, and whom it tells. */
export interface EndpointStoreDeps {
  readonly index: SelectionIndex
  /** Profiles that no resource makes. */
  readonly imply: (name: string) => FlatProfile | null
  readonly feed: Pick<ChangeFeed, 'endpoint' | 'profile'>
  /** A workload came, changed or went (null). */
  readonly workload: (key: string, namespace: string, item: Item | null) => void
}

/** Makes an empty store that keeps the index of selectors up to date. */
export function createEndpointStore({ index, imply, feed, workload }: EndpointStoreDeps): EndpointStore {
  const claims = createClaims()
  const inheritance = createInheritance(imply)
  const endpoints = new Map<string, Endpoint>()
  const owners = createAddressOwners()
  const sets = createNetworkSetIndex()
  const byNamespace = createSetMap<string, string>()

  function enter(item: Item): void {
    const before = index.get(item.key)?.item ?? null
    if (before !== null && sameItem(before, item)) return
    inheritance.change(item.key, before?.profiles ?? [], item.profiles)
    const labels = inheritance.labelsOf(item)
    index.put(item, labels)
    if (item.endpoint === null) {
      if (before !== null) sets.remove(before)
      sets.put(item)
      return
    }
    present(item, labels)
    if (item.kind === 'wep') {
      const namespace = item.namespace as string
      byNamespace.add(namespace, item.key)
      workload(item.key, namespace, item)
    }
  }

  /** Makes the endpoint that an item is now. */
  function present(item: Item, labels: Labels): void {
    const before = endpoints.get(item.key) ?? null
    const endpoint = endpointOf(item, labels)
    endpoints.set(item.key, endpoint)
    owners.change(before, endpoint)
    feed.endpoint(item.key)
  }

  function leave(key: string): void {
    const item = index.get(key)?.item
    if (item === undefined) return
    index.remove(key)
    inheritance.change(key, item.profiles, [])
    if (item.endpoint === null) {
      sets.remove(item)
      return
    }
    owners.change(endpoints.get(key) ?? null, null)
    endpoints.delete(key)
    feed.endpoint(key)
    if (item.kind !== 'wep') return
    const namespace = item.namespace as string
    byNamespace.remove(namespace, key)
    workload(key, namespace, null)
  }

  function settle({ gone, present: items }: Settlement): boolean {
    for (const key of gone) leave(key)
    for (const item of items) enter(item)
    return gone.length + items.length > 0
  }

  function inherit(name: string): void {
    for (const key of inheritance.heirs(name)) {
      const item = index.get(key)?.item
      if (item === undefined) continue
      const labels = inheritance.labelsOf(item)
      index.put(item, labels)
      if (item.endpoint !== null) present(item, labels)
    }
  }

  return {
    put: (source, rank, item) => settle(claims.put(source, rank, item)),
    remove: (source) => settle(claims.remove(source)),
    putProfile(given) {
      const hasOtherLabels = inheritance.put(given)
      feed.profile(given.name)
      if (hasOtherLabels) inherit(given.name)
    },
    removeProfile(name) {
      const hasOtherLabels = inheritance.remove(name)
      feed.profile(name)
      if (hasOtherLabels) inherit(name)
    },
    profile: inheritance.profile,
    profiles: inheritance.given,
    indexed: index.get,
    endpoint: (key) => endpoints.get(key) ?? null,
    endpoints: () => endpoints.values(),
    endpointOf(source) {
      const key = claims.keyOf(source)
      return key === null ? null : (endpoints.get(key) ?? null)
    },
    endpointByIp: owners.byIp,
    hostEndpoints: owners.hostEndpoints,
    networkSet: sets.find,
    *workloads(namespace) {
      for (const key of byNamespace.get(namespace)) {
        const item = index.get(key)?.item
        if (item !== undefined) yield item
      }
    },
  }
}

function endpointOf(item: Item, labels: Labels): Endpoint {
  const { nameAggr, node, interfaceName, ports } = item.endpoint as NonNullable<Item['endpoint']>
  return {
    key: item.key,
    kind: item.kind as Endpoint['kind'],
    namespace: item.namespace,
    name: item.name,
    nameAggr,
    node,
    interfaceName,
    ips: item.nets,
    labels,
    ownLabels: item.ownLabels,
    profiles: item.profiles,
    ports,
  }
}
