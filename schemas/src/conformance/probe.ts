import { parseAddress } from '../policy/ip.ts'
import type { Packet, ServicePort } from '../policy/model.ts'
import { servicePorts } from '../policy/service-ports.ts'
import { hasPorts, protocolName, protocolNumber } from '../resources/protocol.ts'
import { type Backend, backendsOf } from './backends.ts'
import { namedResource, type Place, type Site, siteOf, splitName, type World } from './places.ts'
import { VectorError } from './request.ts'

/** A connection to be judged. */
export interface Probe {
  readonly source: Place
  readonly destination: Place
  /** By name or number; TCP when absent. */
  readonly protocol?: string | number
  /** What the client addresses; the name of a port of the service or of the endpoint will do. */
  readonly port?: number | string
  /** 49152 when absent. */
  readonly sourcePort?: number
  readonly icmp?: Packet['icmp']
  readonly http?: Packet['http']
  readonly interfaces?: Packet['interfaces']
  /** Which family to use where both ends have both; 4 when absent. */
  readonly ipVersion?: 4 | 6
}

/** What a probe comes to: a packet to each place where the connection may arrive. */
export interface Arrivals {
  /** One, or one for each backend of a service, sorted by address. */
  readonly packets: readonly Packet[]
  /** The service that was addressed, by its name or by one of its addresses. */
  readonly service: ServicePort | null
}

/** The first of the ports that clients use (RFC 6335, 6). */
const clientPort = 49_152

/** Finds the ends of a probe, and where the network takes it. Throws VectorError that says what is missing. */
export function arrivalsOf(world: World, probe: Probe): Arrivals {
  const protocol = protocolNumber(probe.protocol ?? 'TCP')
  if (protocol === null) throw new VectorError(`there is no protocol ${JSON.stringify(probe.protocol)}`)
  const { domain, service: name } = probe.destination
  const source = siteOf(world, probe.source)
  const service = name === undefined ? null : servicePort(world, name, protocol, probe.port)
  const target: Site = service === null ? siteOf(world, probe.destination) : { ips: service.clusterIps, endpoint: null }
  const port = service?.port ?? portOf(target, protocol, probe.port)
  const arriving = (sourceIp: string, ip: string, at: number | null, addressed?: Packet['addressed']): Packet => ({
    sourceIp,
    destinationIp: ip,
    protocol,
    sourcePort: hasPorts(protocol) ? (probe.sourcePort ?? clientPort) : null,
    destinationPort: at,
    ...(probe.icmp && { icmp: probe.icmp }),
    ...(domain !== undefined && { domains: [domain] }),
    ...(addressed && { addressed }),
    ...(probe.interfaces && { interfaces: probe.interfaces }),
    ...(probe.http && { http: probe.http }),
  })

  if (service !== null && target.ips.length === 0) {
    // A service without an address of its own: DNS gives its clients the addresses of its backends.
    const backends = backendsOf(world.resources, service)
    const [sourceIp, family] = familyOf(
      source.ips,
      backends.map(({ ip }) => ip),
      probe,
    )
    return { packets: of(family, backends).map(({ ip, port: at }) => arriving(sourceIp, ip, at)), service }
  }
  const [sourceIp, family] = familyOf(source.ips, target.ips, probe)
  const ip = target.ips.find((one) => parseAddress(one)?.family === family) as string
  const addressed = service ?? (port === null ? null : world.cluster.service(ip, port, protocol))
  const backends = addressed === null ? [] : of(family, backendsOf(world.resources, addressed))
  const packets = backends.map((backend) => arriving(sourceIp, backend.ip, backend.port, { ip, port }))
  return { packets: packets.length === 0 ? [arriving(sourceIp, ip, port)] : packets, service: addressed }
}

function of(family: 4 | 6, backends: readonly Backend[]): Backend[] {
  return backends.filter(({ ip }) => parseAddress(ip)?.family === family)
}

/** The source's address of the family that both ends have, and that family. */
function familyOf(
  source: readonly string[],
  target: readonly string[],
  { ipVersion }: Probe,
): readonly [string, 4 | 6] {
  const has = (ips: readonly string[], family: 4 | 6) => ips.find((ip) => parseAddress(ip)?.family === family)
  for (const family of ipVersion === undefined ? ([4, 6] as const) : [ipVersion]) {
    const from = has(source, family)
    if (from !== undefined && has(target, family) !== undefined) return [from, family]
  }
  throw new VectorError(
    `source (${source.join(', ')}) and destination (${target.join(', ') || 'nothing'}) have no IP version in common`,
  )
}

function portOf({ endpoint }: Site, protocol: number, port: Probe['port']): number | null {
  if (!hasPorts(protocol)) return null
  if (typeof port === 'number') return port
  if (port !== undefined && /^\d+$/.test(port)) return Number(port)
  if (port === undefined) throw new VectorError(`protocol ${protocolName(protocol)} needs a port`)
  const named = endpoint?.ports.find((one) => one.name === port && one.protocol === protocol)
  if (named === undefined) throw new VectorError(`the destination has no port named ${JSON.stringify(port)}`)
  return named.port
}

/** The port of a service that a probe means; the only one when it names none. */
function servicePort(world: World, text: string, protocol: number, port: Probe['port']): ServicePort {
  const service = namedResource(world, 'Service', text)
  if (service === null) throw new VectorError(`there is no service ${splitName(text).join('/')}`)
  const ports = servicePorts(service).filter((one) => one.protocol === protocol)
  const [found, ...more] =
    port === undefined ? ports : ports.filter((one) => one.port === Number(port) || one.portName === port)
  if (found === undefined || (port === undefined && more.length > 0))
    throw new VectorError(
      `service ${text} has ${found === undefined ? 'no' : 'more than one'} ${protocolName(protocol)} port ${port ?? ''}`.trim(),
    )
  return found
}
