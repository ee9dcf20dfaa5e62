import { isIPv4 } from 'node:net'
import type { Resource } from '@margay/schemas'
import type { LabPort, Protocol } from './port.ts'

/** A name that the lab's outside world answers for. */
export interface OutsideName {
  readonly name: string
  readonly ttl: number
  /** Another name that this one stands for. */
  readonly cname: string | null
  readonly addresses: readonly string[]
  /** UDP queries get a truncated answer, so that the client asks again over TCP. */
  readonly tcpOnly: boolean
}

/** A machine outside the cluster: an address, and the ports on which it answers. */
export interface OutsideHost {
  readonly address: string
  readonly ports: readonly LabPort[]
}

/** The lab's outside world. Nothing else exists: an unknown name is NXDOMAIN, an unknown address never answers. */
export interface Internet {
  readonly names: readonly OutsideName[]
  readonly hosts: readonly OutsideHost[]
}

interface Spec {
  readonly names?: readonly {
    name: string
    ttl?: number
    cname?: string
    addresses?: readonly string[]
    tcpOnly?: boolean
    ports?: readonly (number | string)[]
  }[]
  readonly hosts?: readonly { address: string; ports?: readonly (number | string)[] }[]
}

/**
 * Reads LabInternet resources: `spec.names[]` {name, ttl = 300, cname, addresses, tcpOnly, ports = [80, 443]} and
 * `spec.hosts[]` {address, ports}; a port is a number (TCP) or `53/udp`. What is not an IPv4 address is told in `notes`.
 */
export function parseInternet(resources: readonly Resource[], notes: string[] = []): Internet {
  const names: OutsideName[] = []
  const hosts = new Map<string, Map<string, LabPort>>()
  const listen = (address: string, ports: readonly (number | string)[], where: string) => {
    if (!isIPv4(address)) return void notes.push(`LabInternet ${where}: ${address} is not an IPv4 address; ignored`)
    const known = hosts.get(address) ?? new Map<string, LabPort>()
    for (const port of ports.map(parsePort)) {
      if (port === null) notes.push(`LabInternet ${where}: a port must be a number or number/udp; ignored`)
      else known.set(`${port.protocol}/${port.port}`, port)
    }
    hosts.set(address, known)
  }
  for (const resource of resources) {
    const spec = (resource.spec ?? {}) as Spec
    for (const entry of spec.names ?? []) {
      const addresses = (entry.addresses ?? []).filter((address) => isIPv4(address))
      for (const address of entry.addresses ?? []) listen(address, entry.ports ?? [80, 443], entry.name)
      names.push({
        name: entry.name.toLowerCase().replace(/\.$/, ''),
        ttl: entry.ttl ?? 300,
        cname: entry.cname?.toLowerCase().replace(/\.$/, '') ?? null,
        addresses,
        tcpOnly: entry.tcpOnly ?? false,
      })
    }
    for (const { address, ports } of spec.hosts ?? []) listen(address, ports ?? [80, 443], address)
  }
  return { names, hosts: [...hosts].map(([address, ports]) => ({ address, ports: [...ports.values()] })) }
}

function parsePort(text: number | string): LabPort | null {
  const match = /^(\d{1,5})(?:\/(tcp|udp))?$/i.exec(String(text))
  if (!match || Number(match[1]) < 1 || Number(match[1]) > 65_535) return null
  return { name: null, protocol: (match[2] ?? 'tcp').toUpperCase() as Protocol, port: Number(match[1]) }
}
