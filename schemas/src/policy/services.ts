import type { ServiceSpec } from '../resources/kinds/endpoint.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalAddress } from './ip.ts'
import type { Item } from './item.ts'
import type { AddressSet, ServicePort } from './model.ts'
import { createServicePorts } from './service-ports.ts'
import { createSetMap, type SetMap } from './set-map.ts'
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
  const slicesOf = createSetMap<string, string>()
  const endpoints = new Map<string, readonly Backend[]>()
  const ports = createServicePorts()
  /** By namespace, then by service. */
  const watches = new Map<string, SetMap<string, Watch>>()

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
    if (had !== undefined) ports.remove(key, had)
    if (service === null) services.delete(key)
    else {
      services.set(key, service)
      ports.add(key, service)
    }
    tell(key)
  }

  function replaceSlice(key: string, slice: Slice | null): void {
    const had = slices.get(key)
    if (had !== undefined) slicesOf.remove(had.service, key)
    if (slice === null) slices.delete(key)
    else {
      slices.set(key, slice)
      slicesOf.add(slice.service, key)
    }
    if (had !== undefined && had.service !== slice?.service) tell(had.service)
    if (slice !== null) tell(slice.service)
  }

  function parts(key: string): Parts {
    const sliced = slicesOf.get(key)
    if (sliced.size > 0) return new Map([...sliced].map((name) => [name, (slices.get(name) as Slice).backends]))
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
    if (list === undefined || list.size === 0) return
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
      const inNamespace = watches.get(namespaceOf(key)) ?? createSetMap<string, Watch>()
      watches.set(namespaceOf(key), inNamespace)
      inNamespace.add(key, watch)
      listener(none, membersOf([...watch.told.values()].flat(), type))
      return { release: () => inNamespace.remove(key, watch) }
    },
    at(ip, port, protocol) {
      return (
        ports.atAddress(ip, port, protocol) ?? (surroundings.isNodeAddress(ip) ? ports.atNode(port, protocol) : null)
      )
    },
  }
}

const namespaceOf = (key: string) => key.slice(0, key.indexOf('/'))

function membersOf(backends: readonly Backend[], type: AddressSet['type']): string[] {
  return backends.map(({ ip, protocol, port }) => (type === 'net' ? ip : `${ip},${protocol},${port}`))
}

function namedPort(item: Item, name: string, protocol: number): number | null {
  return item.endpoint?.ports.find((port) => port.name === name && port.protocol === protocol)?.port ?? null
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
