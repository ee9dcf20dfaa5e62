import type { ServiceSpec } from '../resources/kinds/endpoint.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalAddress } from './ip.ts'
import type { ServicePort } from './model.ts'

/** Ports of services by what is addressed; where several services claim one, that of the first by name counts. */
export interface ServicePorts {
  add(key: string, service: Resource): void
  remove(key: string, service: Resource): void
  /** By an address of the service. */
  atAddress(ip: string, port: number, protocol: number): ServicePort | null
  /** By its port on every node. */
  atNode(port: number, protocol: number): ServicePort | null
}

interface Claim {
  readonly service: string
  readonly port: ServicePort
}

/** Makes the ports of no services. */
export function createServicePorts(): ServicePorts {
  const claims = new Map<string, readonly Claim[]>()

  function change(at: string, service: string, port: ServicePort | null): void {
    const others = (claims.get(at) ?? []).filter((claim) => claim.service !== service)
    const all = port === null ? others : [...others, { service, port }]
    if (all.length === 0) claims.delete(at)
    else
      claims.set(
        at,
        all.sort((a, b) => (a.service < b.service ? -1 : 1)),
      )
  }

  function each(service: Resource, visit: (at: string, port: ServicePort) => void): void {
    const others = externalIps(service)
    for (const port of servicePorts(service)) {
      for (const ip of [...port.clusterIps, ...others]) visit(`${ip},${port.protocol},${port.port}`, port)
      if (port.nodePort !== null) visit(`*,${port.protocol},${port.nodePort}`, port)
    }
  }

  const find = (at: string) => claims.get(at)?.[0]?.port ?? null

  return {
    add: (key, service) => each(service, (at, port) => change(at, key, port)),
    remove: (key, service) => each(service, (at) => change(at, key, null)),
    atAddress: (ip, port, protocol) => find(`${ip},${protocol},${port}`),
    atNode: (port, protocol) => find(`*,${protocol},${port}`),
  }
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
