import { cidrContains, parseCidr } from './ip.ts'
import type { Direction, Endpoint, PolicyModel } from './model.ts'
import type { End, ReadPacket } from './read-packet.ts'

/** Types of ICMPv6 without which IPv6 does not work on a link (RFC 4890, 4.4.1): listening, and discovery of routers and neighbours. */
const discovery: ReadonlySet<number> = new Set([130, 131, 132, 133, 135, 136])
/** What a host must hear and say beside: advertisements of routers, and of listening in version 2. */
const hostDiscovery: ReadonlySet<number> = new Set([...discovery, 134, 143])
const icmp6 = 58

/** True for packets of neighbour discovery, which pass all endpoints before policy is asked. */
export function isDiscovery({ kind }: Pick<Endpoint, 'kind'>, { protocol, packet }: ReadPacket): boolean {
  return (
    protocol === icmp6 &&
    packet.icmp !== undefined &&
    (kind === 'wep' ? discovery : hostDiscovery).has(packet.icmp.type)
  )
}

/** True when the packet is to a port that is open on the node's host endpoints whatever policy says (spec 5.7.2). */
export function isFailsafe(model: PolicyModel, node: string, direction: Direction, read: ReadPacket): boolean {
  const { source, destination, protocol } = read
  const other = direction === 'ingress' ? source : destination
  return isOpen(model, node, direction, { protocol, port: destination.port, other })
}

/**
 * True when the packet could be an answer of a connection on such a port. Nothing is tracked yet where untracked policy is asked, so it must
 * not touch these (spec 14, 5.1).
 */
export function isFailsafeAnswer(model: PolicyModel, node: string, direction: Direction, read: ReadPacket): boolean {
  const { source, destination, protocol } = read
  const asked = direction === 'ingress' ? 'egress' : 'ingress'
  const other = direction === 'ingress' ? source : destination
  return isOpen(model, node, asked, { protocol, port: source.port, other })
}

function isOpen(
  model: PolicyModel,
  node: string,
  direction: Direction,
  { protocol, port, other }: { protocol: number; port: number | null; other: End },
): boolean {
  return model.failsafes(direction, node).some((open) => {
    if (open.protocol !== protocol || open.port !== port) return false
    const cidr = parseCidr(open.net)
    const address = other.address()
    if (cidr === null || address === null) return false
    // The default 0.0.0.0/0 stands for every address of both families.
    return cidr.prefix === 0 || cidrContains(cidr, address)
  })
}
