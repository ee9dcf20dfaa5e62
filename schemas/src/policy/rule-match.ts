import { hasPorts } from '../resources/protocol.ts'
import { matchDomain } from './domain.ts'
import { type Address, canonicalAddress, cidrContains, parseAddress, parseCidr } from './ip.ts'
import type { EntityMatch, Packet, PolicyModel, PortRange, Rule } from './model.ts'

/** A packet with its addresses read once. */
export interface ReadPacket {
  readonly packet: Packet
  readonly source: End
  readonly destination: End
}

interface End {
  /** In its usual text. */
  readonly ip: string
  readonly address: Address | null
  readonly port: number | null
}

/** Prepares a packet to be held against many rules. */
export function readPacket(packet: Packet): ReadPacket {
  const end = (ip: string, port: number | null): End => ({ ip: canonicalAddress(ip), address: parseAddress(ip), port })
  return {
    packet,
    source: end(packet.sourceIp, packet.sourcePort),
    destination: end(packet.destinationIp, packet.destinationPort),
  }
}

type Sets = Pick<PolicyModel, 'addressSet'>

/** True when all the criteria of a rule hold for a packet (spec 14, 4.2). A set that is not there holds nothing. */
export function matchRule(sets: Sets, rule: Rule, { packet, source, destination }: ReadPacket): boolean {
  if (rule.ipVersion !== null && rule.ipVersion !== source.address?.family) return false
  if (rule.protocol !== null && rule.protocol !== packet.protocol) return false
  if (rule.notProtocol !== null && rule.notProtocol === packet.protocol) return false
  if (rule.icmp !== null && rule.icmp.type !== null && !matchIcmp(rule.icmp, packet)) return false
  if (rule.notIcmp !== null && rule.notIcmp.type !== null && matchIcmp(rule.notIcmp, packet)) return false
  return (
    matchEntity(sets, rule.source, source, packet) &&
    matchEntity(sets, rule.destination, destination, packet) &&
    matchDomains(rule.destination.domains, packet)
  )
}

function matchIcmp({ type, code }: NonNullable<Rule['icmp']>, { icmp }: Packet): boolean {
  return icmp !== undefined && icmp.type === type && (code === null || icmp.code === code)
}

function matchDomains(domains: readonly string[], { domains: names = [] }: Packet): boolean {
  return domains.length === 0 || names.some((name) => domains.some((pattern) => matchDomain(pattern, name)))
}

function matchEntity(sets: Sets, match: EntityMatch, end: End, { protocol }: Packet): boolean {
  const inSet = (id: string) => sets.addressSet(id)?.has(end.ip) === true
  const inNet = (net: string) => inBlock(net, end)
  if (!match.sets.every(inSet) || match.notSets.some(inSet)) return false
  if (match.nets.length > 0 && !match.nets.some(inNet)) return false
  if (match.notNets.some(inNet)) return false
  const inRange = ({ first, last }: PortRange) =>
    end.port !== null && hasPorts(protocol) && end.port >= first && end.port <= last
  const inPortSet = (id: string) =>
    end.port !== null && sets.addressSet(id)?.has(`${end.ip},${protocol},${end.port}`) === true
  if (match.ports.length + match.portSets.length > 0 && !match.ports.some(inRange) && !match.portSets.some(inPortSet))
    return false
  return !match.notPorts.some(inRange) && !match.notPortSets.some(inPortSet)
}

function inBlock(net: string, { ip, address }: End): boolean {
  if (!net.includes('/')) return net === ip
  const cidr = parseCidr(net)
  return cidr !== null && address !== null && cidrContains(cidr, address)
}
