import { canonicalAddress } from '../policy/ip.ts'
import { itemOf } from '../policy/item.ts'
import type { ServicePort } from '../policy/model.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'

/** Where a connection to a service may arrive. */
export interface Backend {
  readonly ip: string
  readonly port: number
}

interface Slice {
  readonly endpoints?: readonly {
    readonly addresses?: readonly string[]
    readonly conditions?: { readonly ready?: boolean }
  }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[]
}

interface Subsets {
  readonly subsets?: readonly {
    readonly addresses?: readonly { readonly ip: string }[]
    readonly ports?: Slice['ports']
  }[]
}

const serviceName = 'kubernetes.io/service-name'

/**
 * Where connections to a port of a service may arrive, sorted by address: what its endpoint slices say is ready, else its Endpoints, else
 * (where no controller makes either) the pods that its selector selects.
 */
export function backendsOf(resources: readonly Resource[], service: ServicePort): Backend[] {
  const { namespace, name } = service
  const inNamespace = resources.filter(({ metadata }) => (metadata.namespace ?? 'default') === namespace)
  const slices = inNamespace.filter(
    ({ kind, metadata }) => kind === 'EndpointSlice' && metadata.labels?.[serviceName] === name,
  )
  const endpoints = inNamespace.find(({ kind, metadata }) => kind === 'Endpoints' && metadata.name === name)
  const found =
    slices.length > 0
      ? slices.flatMap((slice) => ofSlice(slice as Resource & Slice, service))
      : endpoints !== undefined
        ? ofEndpoints(endpoints as Resource & Subsets, service)
        : selected(inNamespace, service)
  return found.sort((a, b) => (a.ip === b.ip ? a.port - b.port : a.ip < b.ip ? -1 : 1))
}

const isOf = (service: ServicePort) => (port: NonNullable<Slice['ports']>[number]) =>
  (port.name ?? '') === service.portName && protocolNumber(port.protocol ?? 'TCP') === service.protocol

function ofSlice({ endpoints = [], ports = [] }: Slice, service: ServicePort): Backend[] {
  const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false)
  return pairs(
    ready.flatMap(({ addresses }) => addresses ?? []),
    ports.filter(isOf(service)),
  )
}

function ofEndpoints({ subsets = [] }: Subsets, service: ServicePort): Backend[] {
  return subsets.flatMap(({ addresses = [], ports = [] }) =>
    pairs(
      addresses.map(({ ip }) => ip),
      ports.filter(isOf(service)),
    ),
  )
}

function pairs(ips: readonly string[], ports: NonNullable<Slice['ports']>): Backend[] {
  return ips.flatMap((ip) =>
    ports.flatMap(({ port }) => (port === undefined ? [] : [{ ip: canonicalAddress(ip), port }])),
  )
}

function selected(resources: readonly Resource[], { name, protocol, targetPort }: ServicePort): Backend[] {
  const service = resources.find(({ kind, metadata }) => kind === 'Service' && metadata.name === name)
  const selector = Object.entries((service?.spec as { selector?: Record<string, string> } | undefined)?.selector ?? {})
  if (selector.length === 0) return []
  return resources.flatMap((resource) => {
    if (resource.kind !== 'Pod' && resource.kind !== 'WorkloadEndpoint') return []
    const item = itemOf(resource)
    if (item?.endpoint == null || !selector.every(([label, value]) => item.ownLabels[label] === value)) return []
    const named = item.endpoint.ports.find((port) => port.name === targetPort && port.protocol === protocol)
    const port = typeof targetPort === 'number' ? targetPort : named?.port
    return port === undefined ? [] : item.nets.map((ip) => ({ ip, port }))
  })
}
