import { type Address, addressBits, networkOf, parseAddress, parseCidr } from './ip.ts'
import type { Item } from './item.ts'
import type { Endpoint, Identity, Labels } from './model.ts'

/** Network sets by the addresses they hold. */
export interface NetworkSetIndex {
  put(item: Item): void
  remove(item: Item): void
  /**
   * The set that names an address (spec 4.2.2): one of the given namespace first, then a global one, then one of another namespace; the
   * longest prefix wins within each, then the name.
   */
  find(address: Address, namespace: string | null): Item | null
}

/** Makes an empty index. */
export function createNetworkSetIndex(): NetworkSetIndex {
  const families: Record<4 | 6, Map<number, Map<bigint, Set<Item>>>> = { 4: new Map(), 6: new Map() }

  function each(item: Item, visit: (values: Map<bigint, Set<Item>>, value: bigint) => void): void {
    for (const net of item.nets) {
      const cidr = parseCidr(net)
      if (cidr === null) continue
      let values = families[cidr.family].get(cidr.prefix)
      if (values === undefined) {
        values = new Map()
        families[cidr.family].set(cidr.prefix, values)
      }
      visit(values, cidr.value)
    }
  }

  return {
    put: (item) =>
      each(item, (values, value) => {
        const had = values.get(value)
        if (had === undefined) values.set(value, new Set([item]))
        else had.add(item)
      }),
    remove: (item) =>
      each(item, (values, value) => {
        const had = values.get(value)
        had?.delete(item)
        if (had?.size === 0) values.delete(value)
      }),
    find(address, namespace) {
      const found: (Item | null)[] = [null, null, null]
      const networks = families[address.family]
      for (let prefix = addressBits(address.family) as number; prefix >= 0; prefix--) {
        const items = networks.get(prefix)?.get(networkOf(address, prefix))
        if (items === undefined) continue
        const here: (Item | null)[] = [null, null, null]
        for (const item of items) {
          const rank = item.namespace === null ? 1 : item.namespace === namespace ? 0 : 2
          const had = here[rank] ?? null
          if (had === null || item.key < had.key) here[rank] = item
        }
        for (const rank of [0, 1, 2]) found[rank] ??= here[rank] ?? null
        if (found[0] !== null) break
      }
      return found[0] ?? found[1] ?? found[2] ?? null
    },
  }
}

const privateBlocks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((text) => parseCidr(text))

/** How flow logs name an address that belongs to nothing: `pvt` for the three private blocks of IPv4, else `pub`. */
export function outsideIdentity(ip: string): Identity {
  const address = parseAddress(ip)
  const isPrivate =
    address?.family === 4 &&
    privateBlocks.some((block) => block !== null && networkOf(address, block.prefix) === block.value)
  return { type: 'net', namespace: '-', name: '-', nameAggr: isPrivate ? 'pvt' : 'pub', labels: [], endpoint: null }
}

/** How flow logs name a network set. */
export function networkSetIdentity(item: Item): Identity {
  return {
    type: 'ns',
    namespace: item.namespace ?? '-',
    name: '-',
    nameAggr: item.name,
    labels: labelList(item.ownLabels),
    endpoint: null,
  }
}

/** How flow logs name an endpoint. */
export function endpointIdentity(endpoint: Endpoint): Identity {
  return {
    type: endpoint.kind,
    namespace: endpoint.namespace ?? '-',
    name: endpoint.name,
    nameAggr: endpoint.nameAggr,
    labels: labelList(endpoint.ownLabels),
    endpoint,
  }
}

function labelList(labels: Labels): string[] {
  return Object.entries(labels)
    .filter(([key]) => !key.startsWith('projectcalico.org/'))
    .map(([key, value]) => `${key}=${value}`)
    .sort()
}
