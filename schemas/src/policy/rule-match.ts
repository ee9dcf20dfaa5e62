import { hasPorts } from '../resources/protocol.ts'
import { matchDomain } from './domain.ts'
import { httpFault } from './http-match.ts'
import { type Cidr, cidrContains, parseCidr } from './ip.ts'
import type { EntityMatch, Packet, PolicyModel, PortRange, Rule, SetId } from './model.ts'
import type { End, ReadPacket } from './read-packet.ts'

/** What rules need of a model. */
export type Sets = Pick<PolicyModel, 'addressSet'>

/** True when all the criteria of a rule hold for a packet (spec 14, 4.2). A set that is not there holds nothing. */
export function matchRule(sets: Sets, rule: Rule, read: ReadPacket): boolean {
  const { protocol, source, destination, packet } = read
  return (
    (rule.protocol === null || rule.protocol === protocol) &&
    (rule.notProtocol === null || rule.notProtocol !== protocol) &&
    (rule.ipVersion === null || rule.ipVersion === source.family) &&
    matchPorts(sets, rule.destination, destination, protocol) &&
    matchPorts(sets, rule.source, source, protocol) &&
    matchAddress(sets, rule.destination, destination) &&
    matchAddress(sets, rule.source, source) &&
    (rule.icmp === null || matchIcmp(rule.icmp, packet)) &&
    (rule.notIcmp === null || rule.notIcmp.type === null || !matchIcmp(rule.notIcmp, packet)) &&
    (rule.destination.domains.length === 0 || matchDomains(rule.destination.domains, packet)) &&
    // Packets do not tell what is requested: without a request the rule is its addresses and ports alone.
    (rule.http === null || packet.http === undefined || httpFault(rule.http, packet.http) === null)
  )
}

/** True when type and code, where given, are those of the packet. */
export function matchIcmp({ type, code }: NonNullable<Rule['icmp']>, { icmp }: Packet): boolean {
  return type === null || (icmp !== undefined && icmp.type === type && (code === null || icmp.code === code))
}

/** True when a name that led to the destination is one of the domains. */
export function matchDomains(domains: readonly string[], { domains: names = [] }: Packet): boolean {
  return names.some((name) => domains.some((pattern) => matchDomain(pattern, name)))
}

function matchAddress(sets: Sets, match: EntityMatch, end: End): boolean {
  for (const id of match.sets) if (!inSet(sets, id, end.ip)) return false
  if (match.nets.length > 0 && !inNets(match.nets, end)) return false
  for (const id of match.notSets) if (inSet(sets, id, end.ip)) return false
  return match.notNets.length === 0 || !inNets(match.notNets, end)
}

function matchPorts(sets: Sets, match: EntityMatch, end: End, protocol: number): boolean {
  const { ports, portSets, notPorts, notPortSets } = match
  if (ports.length > 0 || portSets.length > 0) {
    if (!inPorts(ports, end, protocol) && !inPortSets(sets, portSets, end)) return false
  }
  if (notPorts.length > 0 && inPorts(notPorts, end, protocol)) return false
  return notPortSets.length === 0 || !inPortSets(sets, notPortSets, end)
}

/** True when a set in use has the member. */
export function inSet(sets: Sets, id: SetId, member: string): boolean {
  return sets.addressSet(id)?.has(member) === true
}

/** True when the protocol has ports and that of the end lies in one of the ranges. */
export function inPorts(ports: readonly PortRange[], { port }: End, protocol: number): boolean {
  if (port === null || !hasPorts(protocol)) return false
  for (const { first, last } of ports) if (port >= first && port <= last) return true
  return false
}

/** True when one of the sets has the address with its protocol and port. */
export function inPortSets(sets: Sets, ids: readonly SetId[], end: End): boolean {
  if (end.port === null) return false
  for (const id of ids) if (inSet(sets, id, end.member())) return true
  return false
}

interface Nets {
  /** First and last address of each IPv4 block, in turn. */
  readonly v4: readonly number[]
  readonly v6: readonly Cidr[]
}

/** The lists of rules, which do not change, read once. */
const known = new WeakMap<readonly string[], Nets>()

function readNets(list: readonly string[]): Nets {
  const v4: number[] = []
  const v6: Cidr[] = []
  for (const cidr of list.map(parseCidr)) {
    if (cidr?.family === 4) v4.push(Number(cidr.value), Number(cidr.value) + 2 ** (32 - cidr.prefix) - 1)
    else if (cidr !== null) v6.push(cidr)
  }
  return { v4, v6 }
}

/** True when the address lies in one of the blocks of a rule's list. */
export function inNets(list: readonly string[], end: End): boolean {
  let nets = known.get(list)
  if (nets === undefined) {
    nets = readNets(list)
    known.set(list, nets)
  }
  if (end.family === 4) {
    const { v4 } = nets
    for (let i = 0; i < v4.length; i += 2)
      if (end.v4 >= (v4[i] as number) && end.v4 <= (v4[i + 1] as number)) return true
    return false
  }
  const address = end.address()
  return address !== null && nets.v6.some((cidr) => cidrContains(cidr, address))
}
