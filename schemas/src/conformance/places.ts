import type { Cluster } from '../policy/cluster.ts'
import { canonicalAddress, parseAddress } from '../policy/ip.ts'
import type { Endpoint } from '../policy/model.ts'
import type { PodSpec } from '../resources/kinds/endpoint.ts'
import { keyOf } from '../resources/kinds.ts'
import type { Resource } from '../resources/resource.ts'
import { outsideAddress } from './outside-address.ts'
import { VectorError } from './request.ts'

/** One end of a connection; one member says where it is, but a domain may have an address beside it. */
export interface Place {
  /** `<namespace>/<name>` of a Pod; one in the network of its host stands for that host. */
  readonly pod?: string
  /** `<namespace>/<name>` of a WorkloadEndpoint, or the name of a HostEndpoint. */
  readonly endpoint?: string
  /** A process of a node, by the name of the node. */
  readonly host?: string
  /** Any address. */
  readonly ip?: string
  /** Destination only: `<namespace>/<name>` of a Service. */
  readonly service?: string
  /** Destination only: a name outside the cluster, as DNS answers gave it. */
  readonly domain?: string
}

/** The model to judge by, and the resources that it was made from. */
export interface World {
  readonly cluster: Cluster
  readonly resources: readonly Resource[]
}

/** Where a place is. */
export interface Site {
  /** Addresses in their usual text. */
  readonly ips: readonly string[]
  readonly endpoint: Endpoint | null
}

/** Finds a place that is no service. Throws VectorError that says what it lacks. */
export function siteOf(world: World, place: Place): Site {
  const { pod, endpoint, host, ip, domain } = place
  if (pod !== undefined) return siteOfPod(world, pod)
  if (endpoint !== undefined) return siteOfEndpoint(world, endpoint)
  if (host !== undefined) return siteOfHost(world, host)
  if (ip !== undefined) {
    if (parseAddress(ip) === null) throw new VectorError(`${JSON.stringify(ip)} is no address`)
    return { ips: [canonicalAddress(ip)], endpoint: null }
  }
  if (domain !== undefined)
    return { ips: [outsideAddress(world.resources, 4), outsideAddress(world.resources, 6)], endpoint: null }
  throw new VectorError(`${JSON.stringify(place)} is none of pod, endpoint, host, ip, service and domain`)
}

/** The namespace and name in `<namespace>/<name>`; namespace `default` when there is none. */
export function splitName(text: string): readonly [string, string] {
  const slash = text.indexOf('/')
  return slash < 0 ? ['default', text] : [text.slice(0, slash), text.slice(slash + 1)]
}

/** The resource of a kind in a namespace, null when it was not given. */
export function namedResource({ resources }: World, kind: string, text: string): Resource | null {
  const [namespace, name] = splitName(text)
  return (
    resources.find(
      (one) => one.kind === kind && one.metadata.name === name && (one.metadata.namespace ?? 'default') === namespace,
    ) ?? null
  )
}

function siteOfPod(world: World, text: string): Site {
  const { hostNetwork, nodeName } = (namedResource(world, 'Pod', text)?.spec ?? {}) as PodSpec
  if (hostNetwork && nodeName) return siteOfHost(world, nodeName)
  return known(world.cluster.endpoint(`wep:${splitName(text).join('/')}`), `pod ${text}`)
}

function siteOfEndpoint(world: World, text: string): Site {
  if (!text.includes('/')) {
    const host = world.cluster.endpoint(`hep:${text}`)
    if (host !== null) return known(host, `endpoint ${text}`)
  }
  const [namespace, name] = splitName(text)
  const resource = namedResource(world, 'WorkloadEndpoint', text)
  const { cluster } = world
  const endpoint =
    resource === null ? cluster.endpoint(`wep:${namespace}/${name}`) : cluster.endpointOf(keyOf(resource))
  return known(endpoint, `endpoint ${text}`)
}

function known(endpoint: Endpoint | null, what: string): Site {
  if (endpoint === null) throw new VectorError(`${what} is no endpoint: it was not given, has no node or has finished`)
  if (endpoint.ips.length === 0) throw new VectorError(`${what} has no address`)
  return { ips: endpoint.ips, endpoint }
}

function siteOfHost(world: World, name: string): Site {
  const ips = hostAddresses(world, name)
  if (ips.length === 0) throw new VectorError(`host ${name} has no address: give its Node, or a HostEndpoint of it`)
  return { ips, endpoint: null }
}

/** Addresses of a node: those of its Node, then those that its host endpoints expect. */
export function hostAddresses({ resources, cluster }: World, name: string): string[] {
  const node = resources.find(({ kind, metadata }) => kind === 'Node' && metadata.name === name)
  const { addresses = [] } = (node?.status ?? {}) as { addresses?: { type?: string; address?: string }[] }
  const own = addresses.flatMap(({ address }) => (address && parseAddress(address) !== null ? [address] : []))
  return [...new Set([...own.map(canonicalAddress), ...cluster.hostEndpoints(name).flatMap(({ ips }) => ips)])]
}
