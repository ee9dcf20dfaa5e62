import { ipv4Number, parseAddress } from './ip.ts'
import type { Item } from './item.ts'
import type { Endpoint, Identity, Labels } from './model.ts'

const outside = (nameAggr: string): Identity => ({
  type: 'net',
  namespace: '-',
  name: '-',
  nameAggr,
  labels: [],
  endpoint: null,
})
const privateNetwork = outside('pvt')
const publicNetwork = outside('pub')

/** How flow logs name an address that belongs to nothing: `pvt` for the three private blocks of IPv4, else `pub`. */
export function outsideIdentity(ip: string): Identity {
  let value = ipv4Number(ip)
  if (value < 0) {
    const address = parseAddress(ip)
    if (address?.family !== 4) return publicNetwork
    value = Number(address.value)
  }
  const first = value >>> 24
  const second = (value >>> 16) & 255
  const isPrivate = first === 10 || (first === 172 && second >> 4 === 1) || (first === 192 && second === 168)
  return isPrivate ? privateNetwork : publicNetwork
}

/** Names of what does not change as long as it is the same object. */
const known = new WeakMap<Item | Endpoint, Identity>()

function remembered<T extends Item | Endpoint>(of: T, make: (of: T) => Identity): Identity {
  let identity = known.get(of)
  if (identity === undefined) {
    identity = make(of)
    known.set(of, identity)
  }
  return identity
}

/** How flow logs name a network set. */
export function networkSetIdentity(item: Item): Identity {
  return remembered(item, nameNetworkSet)
}

function nameNetworkSet(item: Item): Identity {
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
  return remembered(endpoint, nameEndpoint)
}

function nameEndpoint(endpoint: Endpoint): Identity {
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
