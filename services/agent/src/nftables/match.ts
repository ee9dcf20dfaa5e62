import type { EntityMatch, PolicyModel, Rule as PolicyRule } from '@margay/schemas'
import type { Family } from './cidr.ts'
import type { Rule } from './ruleset.ts'
import type { SetCollector } from './sets.ts'

/**
 * The match part of a rule as nft text. A rule may need several lines, any of which matches: one for each address family,
 * and one for each combination of numeric and named ports. No line at all means that the rule matches nothing.
 */
export function matchLines(rule: PolicyRule, model: Pick<PolicyModel, 'addressSet'>, sets: SetCollector): Rule[] {
  // Domain rules are filled from DNS answers; without them nothing matches, so an Allow fails closed.
  if (rule.source.domains.length > 0 || rule.destination.domains.length > 0) return []
  const familyBound =
    rule.ipVersion !== null || needsFamily(rule.source) || needsFamily(rule.destination) || rule.icmp !== null
  const families: readonly (Family | null)[] = rule.ipVersion ? [rule.ipVersion] : familyBound ? [4, 6] : [null]
  const lines: Rule[] = []
  for (const family of families) {
    if (family === 4 && (rule.protocol === 58 || rule.icmp !== null) && rule.protocol !== 1) continue
    if (family === 6 && (rule.protocol === 1 || rule.icmp !== null) && rule.protocol !== 58) continue
    const source = entityMatch(rule.source, 's', family, model, sets)
    const destination = entityMatch(rule.destination, 'd', family, model, sets)
    if (source === null || destination === null) continue
    const head: string[] = []
    if (family !== null) head.push(`meta nfproto ${family === 4 ? 'ipv4' : 'ipv6'}`)
    if (rule.protocol !== null) head.push(`meta l4proto ${rule.protocol}`)
    if (rule.notProtocol !== null) head.push(`meta l4proto != ${rule.notProtocol}`)
    // Ports of a rule without protocol: only these protocols have any, others would be read at the wrong place.
    if (rule.protocol === null && hasNumericPorts(rule)) head.push(`meta l4proto ${sets.portedProtocols()}`)
    head.push(...source.all, ...destination.all)
    for (const sourcePorts of source.ports) {
      for (const destinationPorts of destination.ports) {
        for (const icmp of icmpMatches(rule)) lines.push([...head, ...sourcePorts, ...destinationPorts, ...icmp])
      }
    }
  }
  return lines
}

const needsFamily = (side: EntityMatch) =>
  side.sets.length + side.notSets.length + side.nets.length + side.notNets.length > 0 ||
  side.portSets.length + side.notPortSets.length > 0

const hasNumericPorts = ({ source, destination }: PolicyRule) =>
  source.ports.length + source.notPorts.length + destination.ports.length + destination.notPorts.length > 0

interface SideMatch {
  /** Statements that must all hold. */
  readonly all: string[]
  /** Alternatives of the port list; a single empty one when ports do not matter. */
  readonly ports: string[][]
}

/** Null when the side can match no packet of the family. */
function entityMatch(
  side: EntityMatch,
  end: 's' | 'd',
  family: Family | null,
  model: Pick<PolicyModel, 'addressSet'>,
  sets: SetCollector,
): SideMatch | null {
  const port = `th ${end}port`
  const all: string[] = []
  let ports: string[][] = []
  const numeric = sets.ports(side.ports)
  if (numeric !== null) ports.push([`${port} ${numeric}`])
  const notNumeric = sets.ports(side.notPorts)
  if (notNumeric !== null) all.push(`${port} != ${notNumeric}`)
  if (family !== null) {
    const address = `${family === 4 ? 'ip' : 'ip6'} ${end}addr`
    const withPort = `${address} . meta l4proto . ${port}`
    if (side.nets.length > 0) {
      const nets = sets.networks(side.nets, family)
      if (nets === 'none') return null
      if (nets !== 'all') all.push(`${address} ${nets}`)
    }
    if (side.notNets.length > 0) {
      const nets = sets.networks(side.notNets, family)
      if (nets === 'all') return null
      if (nets !== 'none') all.push(`${address} != ${nets}`)
    }
    const named = (id: string) => {
      const set = model.addressSet(id)
      const name = set === null ? null : sets.addresses(set, family)
      return set === null || name === null ? null : { match: set.type === 'ip-port' ? withPort : address, name }
    }
    for (const id of side.sets) {
      const set = named(id)
      if (set === null) return null
      all.push(`${set.match} ${set.name}`)
    }
    for (const id of side.notSets) {
      const set = named(id)
      if (set !== null) all.push(`${set.match} != ${set.name}`)
    }
    for (const id of side.portSets) {
      const set = named(id)
      if (set !== null) ports.push([`${set.match} ${set.name}`])
    }
    for (const id of side.notPortSets) {
      const set = named(id)
      if (set !== null) all.push(`${set.match} != ${set.name}`)
    }
  }
  if (side.ports.length + side.portSets.length === 0) ports = [[]]
  return { all, ports }
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
