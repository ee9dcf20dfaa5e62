import type { ServiceSpec } from '../resources/kinds/endpoint.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalAddress } from './ip.ts'
import type { Item } from './item.ts'
import type { ServicePort } from './model.ts'

/** One address and port behind a service. */
export interface Backend {
  readonly ip: string
  readonly protocol: number
  readonly port: number
}

/** Services and what is behind them. */
export interface ServiceDirectory {
  /** Takes a Service, EndpointSlice or Endpoints; false for other kinds. */
  put(resource: Resource): boolean
  remove(resource: Resource): boolean
  /** Grows when the answers may have changed. */
  version(): number
  /**
   * What is behind a service: its endpoint slices, else its Endpoints, else (where no controller makes either) the workloads of its
   * namespace that its selector selects.
   */
  backends(service: { readonly namespace: string; readonly name: string }): readonly Backend[]
  /** The service port at an address before DNAT. */
  at(ip: string, port: number, protocol: number): ServicePort | null
}

/** What the directory asks of the rest of the model. */
export interface ServiceSurroundings {
  workloads(namespace: string): Iterable<Item>
  /** Grows when workloads change. */
  version(): number
  isNodeAddress(ip: string): boolean
}

interface Slice {
  readonly service: string
  readonly backends: readonly Backend[]
}

const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? 'default'}/${name}`
const serviceNameLabel = 'kubernetes.io/service-name'

/** Makes an empty directory. */
export function createServiceDirectory(surroundings: ServiceSurroundings): ServiceDirectory {
  const services = new Map<string, Resource>()
  const slices = new Map<string, Slice>()
  const slicesOf = new Map<string, Set<Slice>>()
  const endpoints = new Map<string, readonly Backend[]>()
  let version = 0
  let ports: {
    readonly version: number
    readonly byAddress: Map<string, ServicePort>
    readonly byNodePort: Map<string, ServicePort>
  } | null = null

  function change(resource: Resource, present: boolean): boolean {
    const { kind, metadata } = resource
    const key = keyOf(metadata.namespace, metadata.name)
    const set = <T>(map: Map<string, T>, value: () => T) => (present ? map.set(key, value()) : map.delete(key))
    if (kind === 'Service') set(services, () => resource)
    else if (kind === 'Endpoints') set(endpoints, () => endpointsBackends(resource))
    else if (kind === 'EndpointSlice') replaceSlice(key, present ? readSlice(resource) : null)
    else return false
    version++
    return true
  }

  function replaceSlice(key: string, slice: Slice | null): void {
    const had = slices.get(key)
    if (had !== undefined) {
      const others = slicesOf.get(had.service)
      others?.delete(had)
      if (others?.size === 0) slicesOf.delete(had.service)
    }
    if (slice === null) {
      slices.delete(key)
      return
    }
    slices.set(key, slice)
    slicesOf.set(slice.service, (slicesOf.get(slice.service) ?? new Set()).add(slice))
  }

  function selected(key: string): readonly Backend[] {
    const service = services.get(key)
    const { selector = {}, ports: list = [] } = (service?.spec ?? {}) as ServiceSpec
    const wanted = Object.entries(selector)
    if (service === undefined || wanted.length === 0) return []
    const found: Backend[] = []
    for (const item of surroundings.workloads(service.metadata.namespace ?? 'default')) {
      if (!wanted.every(([label, value]) => Object.hasOwn(item.ownLabels, label) && item.ownLabels[label] === value))
        continue
      for (const { port, targetPort = port, protocol = 'TCP' } of list) {
        const number = protocolNumber(protocol) as number
        const target = typeof targetPort === 'number' ? targetPort : namedPort(item, targetPort, number)
        if (target !== null) for (const ip of item.nets) found.push({ ip, protocol: number, port: target })
      }
    }
    return found
  }

  function index() {
    if (ports?.version === version) return ports
    const byAddress = new Map<string, ServicePort>()
    const byNodePort = new Map<string, ServicePort>()
    for (const service of services.values()) {
      for (const port of servicePorts(service)) {
        for (const ip of port.clusterIps) byAddress.set(`${ip},${port.protocol},${port.port}`, port)
        for (const ip of externalIps(service)) byAddress.set(`${ip},${port.protocol},${port.port}`, port)
        if (port.nodePort !== null) byNodePort.set(`${port.protocol},${port.nodePort}`, port)
      }
    }
    ports = { version, byAddress, byNodePort }
    return ports
  }

  return {
    put: (resource) => change(resource, true),
    remove: (resource) => change(resource, false),
    version: () => version + surroundings.version(),
    backends({ namespace, name }) {
      const key = keyOf(namespace, name)
      const sliced = slicesOf.get(key)
      if (sliced !== undefined) return [...sliced].flatMap(({ backends }) => backends)
      return endpoints.get(key) ?? selected(key)
    },
    at(ip, port, protocol) {
      const { byAddress, byNodePort } = index()
      return (
        byAddress.get(`${ip},${protocol},${port}`) ??
        (surroundings.isNodeAddress(ip) ? (byNodePort.get(`${protocol},${port}`) ?? null) : null)
      )
    },
  }
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
