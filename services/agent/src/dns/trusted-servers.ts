import { canonicalAddress, type Resource, type ServiceSpec } from '@margay/schemas'

/** A DNS server as clients address it. */
export interface DnsServer {
  readonly ip: string
  readonly port: number
}

/** What services are and where they lead. */
export interface ServiceResources {
  readonly services: readonly Resource[]
  readonly endpointSlices: readonly Resource[]
}

const serviceForm = /^k8s-service:(?:(?<namespace>[a-z0-9-]+)\/)?(?<name>[a-z0-9-]+)(?::(?<port>\d{1,5}))?$/
const addressForm = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<v4>\d+\.\d+\.\d+\.\d+))(?::(?<port>\d{1,5}))?$/
const dnsPort = 53

/**
 * The servers that a list of `ip[:port]`, `[v6]:port` and `k8s-service:[namespace/]name[:port]` stands for: a service is its cluster
 * addresses and what is behind them, since clients may ask its pods directly. `unknown` are services that do not exist (yet).
 */
export function trustedServers(
  entries: readonly string[],
  resources: ServiceResources,
): { readonly servers: readonly DnsServer[]; readonly unknown: readonly string[] } {
  const servers = new Map<string, DnsServer>()
  const unknown: string[] = []
  const add = (ip: string, port: number) => {
    const address = canonicalAddress(ip)
    servers.set(`${address} ${port}`, { ip: address, port })
  }
  for (const entry of entries) {
    const service = serviceForm.exec(entry)?.groups
    if (service !== undefined) {
      const found = serversOf(resources, service.namespace ?? 'kube-system', service.name as string, service.port)
      if (found.length === 0) unknown.push(entry)
      for (const { ip, port } of found) add(ip, port)
      continue
    }
    const { v4, v6, port } = addressForm.exec(entry)?.groups ?? { v6: entry }
    add((v4 ?? v6) as string, port === undefined ? dnsPort : Number(port))
  }
  return { servers: [...servers.values()], unknown }
}

function serversOf(resources: ServiceResources, namespace: string, name: string, wanted?: string): DnsServer[] {
  const service = resources.services.find(
    ({ metadata }) => metadata.name === name && (metadata.namespace ?? 'default') === namespace,
  )
  if (service === undefined) return []
  const { clusterIP, clusterIPs, ports = [] } = (service.spec ?? {}) as ServiceSpec
  const port = wanted === undefined ? (ports[0]?.port ?? dnsPort) : Number(wanted)
  const addresses = (clusterIPs ?? [clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None')
  const names = ports.filter((p) => p.port === port).map((p) => p.name ?? '')
  return [...addresses.map((ip) => ({ ip, port })), ...backends(resources.endpointSlices, namespace, name, names)]
}

interface Slice {
  readonly endpoints?: readonly { readonly addresses?: readonly string[] }[] | null
  readonly ports?: readonly { readonly name?: string | null; readonly port?: number | null }[] | null
}

/** The pods behind the ports of a service that have these names. */
function backends(slices: readonly Resource[], namespace: string, name: string, ports: readonly string[]): DnsServer[] {
  return slices
    .filter(
      ({ metadata }) =>
        metadata.labels?.['kubernetes.io/service-name'] === name && (metadata.namespace ?? 'default') === namespace,
    )
    .flatMap((resource) => {
      const { endpoints, ports: own } = resource as Slice
      const numbers = (own ?? []).flatMap((p) => (p.port != null && ports.includes(p.name ?? '') ? [p.port] : []))
      const addresses = (endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])
      return addresses.flatMap((ip) => numbers.map((port) => ({ ip, port })))
    })
}
