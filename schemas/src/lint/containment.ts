import { matchDomain } from '../policy/domain.ts'
import type { FlatEntity, FlatRule, Ports } from '../policy/flat-policy.ts'
import { cidrContains, parseCidr } from '../policy/ip.ts'
import type { PortRange } from '../policy/model.ts'
import type { Selector } from '../policy/selector/selector.ts'
import { implies } from './implication.ts'

/**
 * True when every packet that the narrow rule matches, the wide one matches too, whatever pods and sets there are. It never says so
 * wrongly; it may fail to see it.
 */
export function covers(wide: FlatRule, narrow: FlatRule): boolean {
  return (
    (wide.ipVersion === null || wide.ipVersion === familyOf(narrow)) &&
    (wide.protocol === null || wide.protocol === narrow.protocol) &&
    coversNotProtocol(wide, narrow) &&
    (wide.icmp === null || coversIcmp(wide.icmp, narrow.icmp)) &&
    (wide.notIcmp === null || JSON.stringify(wide.notIcmp) === JSON.stringify(narrow.notIcmp)) &&
    (wide.http === null || JSON.stringify(wide.http) === JSON.stringify(narrow.http)) &&
    coversEntity(wide.source, narrow.source) &&
    coversEntity(wide.destination, narrow.destination)
  )
}

/** True when no packet can match both, as far as protocol and ports tell. */
export function areDisjoint(a: FlatRule, b: FlatRule): boolean {
  if (a.protocol !== null && b.protocol !== null && a.protocol !== b.protocol) return true
  return [a.source.ports, a.destination.ports].some((ports, side) => {
    const others = side === 0 ? b.source.ports : b.destination.ports
    if (ports.names.length + others.names.length > 0) return false
    if (ports.ranges.length === 0 || others.ranges.length === 0) return false
    return ports.ranges.every((range) => others.ranges.every((other) => !overlaps(range, other)))
  })
}

/** True when a rule has no criterion at all. */
export function matchesEverything(rule: FlatRule): boolean {
  return (
    [rule.ipVersion, rule.protocol, rule.notProtocol, rule.icmp, rule.notIcmp, rule.http].every(
      (value) => value === null,
    ) && [rule.source, rule.destination].every((entity) => isAnybody(entity) && isAnyPort(entity))
  )
}

/** True when a side of a rule is not restricted to anybody, whatever its ports. */
export function isAnybody({ selector, notSelector, nets, notNets, service, domains }: FlatEntity): boolean {
  return (
    selector === null && notSelector === null && service === null && nets.length + notNets.length + domains.length === 0
  )
}

const isEmpty = ({ ranges, names }: Ports) => ranges.length + names.length === 0
const isAnyPort = ({ ports, notPorts }: FlatEntity) => isEmpty(ports) && isEmpty(notPorts)

function familyOf(rule: FlatRule): 4 | 6 | null {
  const net = [...rule.source.nets, ...rule.destination.nets][0]
  return rule.ipVersion ?? (net === undefined ? null : (parseCidr(net)?.family ?? null))
}

function coversNotProtocol(wide: FlatRule, narrow: FlatRule): boolean {
  if (wide.notProtocol === null || wide.notProtocol === narrow.notProtocol) return true
  return narrow.protocol !== null && narrow.protocol !== wide.notProtocol
}

function coversIcmp(wide: NonNullable<FlatRule['icmp']>, narrow: FlatRule['icmp']): boolean {
  if (wide.type === null) return true
  return narrow?.type === wide.type && (wide.code === null || wide.code === narrow.code)
}

function coversEntity(wide: FlatEntity, narrow: FlatEntity): boolean {
  return (
    (wide.selector === null || isWithin(narrow.selector, wide.selector)) &&
    (wide.notSelector === null || isWithin(wide.notSelector, narrow.notSelector)) &&
    coversNets(wide, narrow) &&
    (wide.service === null || JSON.stringify(wide.service) === JSON.stringify(narrow.service)) &&
    coversDomains(wide.domains, narrow.domains) &&
    coversPorts(wide, narrow)
  )
}

function isWithin(narrow: Selector | null, wide: Selector | null): boolean {
  return narrow !== null && wide !== null && implies(narrow.expression, wide.expression)
}

const liesIn = (net: string, blocks: readonly string[]) => blocks.some((block) => contains(block, net))

function contains(block: string, net: string): boolean {
  const [outer, inner] = [parseCidr(block), parseCidr(net)]
  return outer !== null && inner !== null && cidrContains(outer, inner)
}

function coversNets(wide: FlatEntity, narrow: FlatEntity): boolean {
  if (wide.nets.length > 0 && (narrow.nets.length === 0 || !narrow.nets.every((net) => liesIn(net, wide.nets))))
    return false
  return wide.notNets.every((excluded) => {
    if (liesIn(excluded, narrow.notNets)) return true
    const meets = (net: string) => contains(net, excluded) || contains(excluded, net)
    return narrow.nets.length > 0 && !narrow.nets.some(meets)
  })
}

function coversDomains(wide: readonly string[], narrow: readonly string[]): boolean {
  if (wide.length === 0) return true
  return (
    narrow.length > 0 && narrow.every((name) => wide.some((pattern) => pattern === name || matchDomain(pattern, name)))
  )
}

function coversPorts(wide: FlatEntity, narrow: FlatEntity): boolean {
  if (!isEmpty(wide.ports)) {
    if (isEmpty(narrow.ports)) return false
    if (!narrow.ports.ranges.every((range) => isCovered(range, wide.ports.ranges))) return false
    if (!narrow.ports.names.every((name) => wide.ports.names.includes(name))) return false
  }
  if (!wide.notPorts.names.every((name) => narrow.notPorts.names.includes(name))) return false
  return wide.notPorts.ranges.every((excluded) => {
    if (isCovered(excluded, narrow.notPorts.ranges)) return true
    return (
      narrow.ports.names.length === 0 &&
      narrow.ports.ranges.length > 0 &&
      !narrow.ports.ranges.some((range) => overlaps(range, excluded))
    )
  })
}

const overlaps = (a: PortRange, b: PortRange) => a.first <= b.last && b.first <= a.last

/** True when every port of a range lies in one of the others. */
function isCovered({ first, last }: PortRange, ranges: readonly PortRange[]): boolean {
  let next = first
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    if (range.first > next) break
    next = Math.max(next, range.last + 1)
  }
  return next > last
}
