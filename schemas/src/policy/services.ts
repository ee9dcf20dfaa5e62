import type { ServiceSpec } from '../resources/kinds/endpoint.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalAddress } from './ip.ts'
import type { Item } from './item.ts'
import type { AddressSet, ServicePort } from './model.ts'
import type { Hold } from './set-registry.ts'

/** One address and port behind a service. */
interface Backend {
  readonly ip: string
  readonly protocol: number
  readonly port: number
}

/** Hears what sources of a set no longer name, and what they name. */
type Listener = (less: readonly string[], more: readonly string[]) => void

/** Services and what is behind them. */
export interface ServiceDirectory {
  /** Takes a Service, EndpointSlice or Endpoints; false for other kinds. */
  put(resource: Resource): boolean
  remove(resource: Resource): boolean
  /** A workload came, changed or went (null). */
  workload(key: string, namespace: string, after: Item | null): void
  /**
   * Tells what is behind a service, now and whenever it changes, as addresses (`net`) or `address,protocol number,port`: its endpoint slices,
   * else its Endpoints, else (where no controller makes either) the workloads of its namespace that its selector selects.
   */
  watch(
    service: { readonly namespace: string; readonly name: string },
    type: AddressSet['type'],
    listener: Listener,
  ): Hold
  /** The service port at an address before DNAT. */
  at(ip: string, port: number, protocol: number): ServicePort | null
}

/** What the directory asks of the rest of the model. */
export interface ServiceSurroundings {
  workloads(namespace: string): Iterable<Item>
  isNodeAddress(ip: string): boolean
}

interface Slice {
  readonly service: string
  readonly backends: readonly Backend[]
}

/** What is behind a service by who says so: names of slices, of the Endpoints, keys of workloads. */
type Parts = Map<string, readonly Backend[]>

/** Somebody who wants to know what is behind a service, and what he was told. */
interface Watch {
  readonly type: AddressSet['type']
  readonly listener: Listener
  told: Parts
}

const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? 'default'}/${name}`
const serviceNameLabel = 'kubernetes.io/service-name'
const none: readonly string[] = []

/** Makes an empty directory. */
export function createServiceDirectory(surroundings: ServiceSurroundings): ServiceDirectory {
  const services = new Map<string, Resource>()
  const slices = new Map<string, Slice>()
  const slicesOf = new Map<string, Set<string>>()
  const endpoints = new Map<string, readonly Backend[]>()
  const byAddress = createPortIndex()
  const byNodePort = createPortIndex()
  /** By namespace, then by service. */
  const watches = new Map<string, Map<string, Set<Watch>>>()

  function change(resource: Resource, present: boolean): boolean {
    const { kind, metadata } = resource
    const key = keyOf(metadata.namespace, metadata.name)
    if (kind === 'Service') replaceService(key, present ? resource : null)
    else if (kind === 'Endpoints') {
      if (present) endpoints.set(key, endpointsBackends(resource))
      else endpoints.delete(key)
      tell(key)
    } else if (kind === 'EndpointSlice') replaceSlice(key, present ? readSlice(resource) : null)
    else return false
    return true
  }

  function replaceService(key: string, service: Resource | null): void {
    const had = services.get(key)
    if (had !== undefined) eachPort(had, (index, at) => index.remove(at, key))
    if (service === null) services.delete(key)
    else {
      services.set(key, service)
      eachPort(service, (index, at, port) => index.add(at, key, port))
    }
    tell(key)
  }

  function eachPort(service: Resource, visit: (index: PortIndex, at: string, port: ServicePort) => void): void {
    const others = externalIps(service)
    for (const port of servicePorts(service)) {
      for (const ip of [...port.clusterIps, ...others]) visit(byAddress, `${ip},${port.protocol},${port.port}`, port)
      if (port.nodePort !== null) visit(byNodePort, `${port.protocol},${port.nodePort}`, port)
    }
  }

  function replaceSlice(key: string, slice: Slice | null): void {
    const had = slices.get(key)
    if (had !== undefined) removeFrom(slicesOf, had.service, key)
    if (slice === null) slices.delete(key)
    else {
      slices.set(key, slice)
      addTo(slicesOf, slice.service, key)
    }
    if (had !== undefined && had.service !== slice?.service) tell(had.service)
    if (slice !== null) tell(slice.service)
  }

  function parts(key: string): Parts {
    const sliced = slicesOf.get(key)
    if (sliced !== undefined) return new Map([...sliced].map((name) => [name, (slices.get(name) as Slice).backends]))
    const listed = endpoints.get(key)
    if (listed !== undefined) return new Map([[key, listed]])
    const found: Parts = new Map()
    for (const item of surroundings.workloads(namespaceOf(key))) {
      const backends = selected(key, item)
      if (backends.length > 0) found.set(item.key, backends)
    }
    return found
  }

  /** What a workload is to a service by the service's selector. */
  function selected(key: string, item: Item): readonly Backend[] {
    const { selector = {}, ports: list = [] } = (services.get(key)?.spec ?? {}) as ServiceSpec
    const wanted = Object.entries(selector)
    if (wanted.length === 0) return []
    const { ownLabels } = item
    if (!wanted.every(([label, value]) => Object.hasOwn(ownLabels, label) && ownLabels[label] === value)) return []
    return list.flatMap(({ port, targetPort = port, protocol = 'TCP' }) => {
      const number = protocolNumber(protocol) as number
      const target = typeof targetPort === 'number' ? targetPort : namedPort(item, targetPort, number)
      return target === null ? [] : item.nets.map((ip) => ({ ip, protocol: number, port: target }))
    })
  }

  /** Tells those who watch a service what is behind it now. */
  function tell(key: string): void {
    const list = watches.get(namespaceOf(key))?.get(key)
    if (list === undefined) return
    const found = parts(key)
    for (const watch of list) {
      const less = [...watch.told].flatMap(([part, backends]) => (found.get(part) === backends ? [] : backends))
      const more = [...found].flatMap(([part, backends]) => (watch.told.get(part) === backends ? [] : backends))
      watch.told = new Map(found)
      watch.listener(membersOf(less, watch.type), membersOf(more, watch.type))
    }
  }

  /** Tells those who watch a service that finds workloads itself about one of them. */
  function tellPart(key: string, part: string, backends: readonly Backend[]): void {
    for (const watch of watches.get(namespaceOf(key))?.get(key) ?? []) {
      const had = watch.told.get(part) ?? []
      if (had.length + backends.length === 0) continue
      if (backends.length === 0) watch.told.delete(part)
      else watch.told.set(part, backends)
      watch.listener(membersOf(had, watch.type), membersOf(backends, watch.type))
    }
  }

  return {
    put: (resource) => change(resource, true),
    remove: (resource) => change(resource, false),
    workload(key, namespace, after) {
      for (const service of watches.get(namespace)?.keys() ?? [])
        if (!slicesOf.has(service) && !endpoints.has(service))
          tellPart(service, key, after === null ? [] : selected(service, after))
    },
    watch({ namespace, name }, type, listener) {
      const key = keyOf(namespace, name)
      const watch: Watch = { type, listener, told: parts(key) }
      const inNamespace = watches.get(namespaceOf(key)) ?? new Map<string, Set<Watch>>()
      watches.set(namespaceOf(key), inNamespace)
      addTo(inNamespace, key, watch)
      listener(none, membersOf([...watch.told.values()].flat(), type))
      return { release: () => removeFrom(inNamespace, key, watch) }
    },
    at(ip, port, protocol) {
      return (
        byAddress.get(`${ip},${protocol},${port}`) ??
        (surroundings.isNodeAddress(ip) ? byNodePort.get(`${protocol},${port}`) : null)
      )
    },
  }
}

const namespaceOf = (key: string) => key.slice(0, key.indexOf('/'))

function membersOf(backends: readonly Backend[], type: AddressSet['type']): string[] {
  return backends.map(({ ip, protocol, port }) => (type === 'net' ? ip : `${ip},${protocol},${port}`))
}

/** Service ports by a text; where several claim one, that of the first service by name counts. */
interface PortIndex {
  add(at: string, service: string, port: ServicePort): void
  remove(at: string, service: string): void
  get(at: string): ServicePort | null
}

function createPortIndex(): PortIndex {
  const claims = new Map<string, { service: string; port: ServicePort }[]>()
  return {
    add(at, service, port) {
      const others = (claims.get(at) ?? []).filter((claim) => claim.service !== service)
      claims.set(
        at,
        [...others, { service, port }].sort((a, b) => (a.service < b.service ? -1 : 1)),
      )
    },
    remove(at, service) {
      const others = (claims.get(at) ?? []).filter((claim) => claim.service !== service)
      if (others.length === 0) claims.delete(at)
      else claims.set(at, others)
    },
    get: (at) => claims.get(at)?.[0]?.port ?? null,
  }
}

function addTo<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const had = map.get(key)
  if (had === undefined) map.set(key, new Set([value]))
  else had.add(value)
}

function removeFrom<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const had = map.get(key)
  had?.delete(value)
  if (had?.size === 0) map.delete(key)
}

function namedPort(item: Item, name: string, protocol: number): number | null {
  return item.endpoint?.ports.find((port) => port.name === name && port.protocol === protocol)?.port ?? null
}

/** The ports of a Service resource. */
export function servicePorts({ metadata, spec }: Resource): ServicePort[] {
  const { clusterIP, clusterIPs, ports = [] } = (spec ?? {}) as ServiceSpec
  const ips = (clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP])).filter((ip) => ip !== '' && ip !== 'None')
  return ports.map(({ name = '', port, targetPort = port, protocol = 'TCP', nodePort }) => ({
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    portName: name,
    port,
    protocol: protocolNumber(protocol) as number,
    clusterIps: ips.map(canonicalAddress),
    nodePort: nodePort || null,
    targetPort,
  }))
}

function externalIps({ spec, status }: Resource): string[] {
  const { externalIPs = [] } = (spec ?? {}) as ServiceSpec
  const { loadBalancer } = (status ?? {}) as { loadBalancer?: { ingress?: { ip?: string }[] } }
  return [...externalIPs, ...(loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []))].map(canonicalAddress)
}

interface RawPort {
  readonly port?: number | null
  readonly protocol?: string | null
}

function backendsOf(addresses: readonly string[], ports: readonly RawPort[]): Backend[] {
  return addresses.flatMap((ip) =>
    ports.flatMap(({ port, protocol }) =>
      port == null ? [] : [{ ip: canonicalAddress(ip), protocol: protocolNumber(protocol ?? 'TCP') as number, port }],
    ),
  )
}

function readSlice({ metadata, ...rest }: Resource): Slice {
  const { endpoints = [], ports = [] } = rest as { endpoints?: { addresses?: string[] }[]; ports?: RawPort[] }
  return {
    service: keyOf(metadata.namespace, metadata.labels?.[serviceNameLabel] ?? ''),
    backends: backendsOf(
      (endpoints ?? []).flatMap(({ addresses }) => addresses ?? []),
      ports ?? [],
    ),
  }
}

function endpointsBackends(resource: Resource): Backend[] {
  const { subsets = [] } = resource as { subsets?: { addresses?: { ip: string }[]; ports?: RawPort[] }[] }
  return subsets.flatMap(({ addresses = [], ports = [] }) =>
    backendsOf(
      addresses.map(({ ip }) => ip),
      ports,
    ),
  )
}
