import type { EntityMatch, Rule as PolicyRule } from '@margay/schemas'
import type { Family } from './cidr.ts'
import type { Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/** True when a rule is not the same for packets of both address families. */
export function isFamilyBound(rule: PolicyRule): boolean {
  return (
    rule.ipVersion !== null || rule.icmp !== null || namesAddresses(rule.source) || namesAddresses(rule.destination)
  )
}

const namesAddresses = (side: EntityMatch) =>
  side.sets.length + side.notSets.length + side.nets.length + side.notNets.length > 0 ||
  side.portSets.length + side.notPortSets.length + side.domains.length > 0

/**
 * The match part of a rule as nft statements, for packets of one family; for those of both where the rule is not bound to one. It may need
 * several lines, any of which matches: one for each combination of numeric and named ports. No line at all means that the rule matches
 * nothing. What is cheap to ask and fails most often goes first: the protocol, ports, then addresses.
 */
export function matchLines(rule: PolicyRule, family: Family, sets: SetCollector): Rule[] {
  // The names of a packet's source are not known to anybody.
  if (rule.source.domains.length > 0) return []
  const bound = isFamilyBound(rule)
  if (rule.ipVersion !== null && rule.ipVersion !== family) return []
  if (bound && (rule.protocol === 58 || rule.icmp !== null) && rule.protocol !== 1 && family === 4) return []
  if (bound && (rule.protocol === 1 || rule.icmp !== null) && rule.protocol !== 58 && family === 6) return []
  const source = entityMatch(rule.source, 's', family, sets)
  const destination = entityMatch(rule.destination, 'd', family, sets)
  if (source === null || destination === null) return []
  const head: string[] = []
  if (rule.ipVersion !== null) head.push(`meta nfproto ipv${family}`)
  if (rule.protocol !== null) head.push(`meta l4proto ${rule.protocol}`)
  if (rule.notProtocol !== null) head.push(`meta l4proto != ${rule.notProtocol}`)
  // Ports of a rule without protocol: only these protocols have any, others would be read at the wrong place.
  if (rule.protocol === null && hasNumericPorts(rule)) head.push(`meta l4proto ${sets.portedProtocols()}`)
  const icmps = icmpMatches(rule)
  const lines: Rule[] = []
  for (const sourcePorts of source.ports) {
    for (const destinationPorts of destination.ports) {
      for (const icmp of icmps)
        lines.push([
          ...head,
          ...sourcePorts,
          ...destinationPorts,
          ...icmp,
          ...source.addresses,
          ...destination.addresses,
        ])
    }
  }
  return lines
}

const hasNumericPorts = ({ source, destination }: PolicyRule) =>
  source.ports.length + source.notPorts.length + destination.ports.length + destination.notPorts.length > 0

interface SideMatch {
  /** Statements about addresses, all of which must hold, and about ports that must not be. */
  readonly addresses: string[]
  /** Alternatives of the port list; a single empty one when ports do not matter. */
  readonly ports: string[][]
}

/** Null when the side can match no packet of the family. */
function entityMatch(side: EntityMatch, end: 's' | 'd', family: Family, sets: SetCollector): SideMatch | null {
  const port = `th ${end}port`
  const address = `${family === 4 ? 'ip' : 'ip6'} ${end}addr`
  const withPort = `${address} . meta l4proto . ${port}`
  const addresses: string[] = []
  let ports: string[][] = []
  const numeric = sets.ports(side.ports)
  if (numeric !== null) ports.push([`${port} ${numeric}`])
  const notNumeric = sets.ports(side.notPorts)
  if (notNumeric !== null) addresses.push(`${port} != ${notNumeric}`)
  if (side.nets.length > 0) {
    const nets = sets.networks(side.nets, family)
    if (nets === 'none') return null
    if (nets !== 'all') addresses.push(`${address} ${nets}`)
  }
  if (side.notNets.length > 0) {
    const nets = sets.networks(side.notNets, family)
    if (nets === 'all') return null
    if (nets !== 'none') addresses.push(`${address} != ${nets}`)
  }
  for (const id of side.sets) {
    const set = sets.addresses(id, family)
    if (set === null) return null
    addresses.push(`${set.isWithPorts ? withPort : address} ${set.text}`)
  }
  for (const id of side.notSets) {
    const set = sets.addresses(id, family)
    if (set !== null) addresses.push(`${set.isWithPorts ? withPort : address} != ${set.text}`)
  }
  for (const id of side.portSets) {
    const set = sets.addresses(id, family)
    if (set !== null) ports.push([`${withPort} ${set.text}`])
  }
  for (const id of side.notPortSets) {
    const set = sets.addresses(id, family)
    if (set !== null) addresses.push(`${withPort} != ${set.text}`)
  }
  if (side.domains.length > 0) addresses.push(`${address} ${sets.domains(side.domains, family)}`)
  if (side.ports.length + side.portSets.length === 0) ports = [[]]
  return { addresses, ports }
}

/** ICMP type and code; the negation of a pair is two alternatives. */
function icmpMatches(rule: PolicyRule): string[][] {
  const name = rule.protocol === 58 ? 'icmpv6' : 'icmp'
  const { icmp, notIcmp } = rule
  const positive: string[] = []
  if (icmp?.type != null) {
    positive.push(`${name} type ${icmp.type}`)
    if (icmp.code !== null) positive.push(`${name} code ${icmp.code}`)
  }
  if (notIcmp?.type == null) return [positive]
  const other = `${name} type != ${notIcmp.type}`
  if (notIcmp.code === null) return [[...positive, other]]
  const otherCode = [`${name} type ${notIcmp.type}`, `${name} code != ${notIcmp.code}`]
  return [
    [...positive, other],
    [...positive, ...otherCode],
  ]
}
