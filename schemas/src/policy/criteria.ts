import { protocolName } from '../resources/protocol.ts'
import { httpFault } from './http-match.ts'
import type { EntityMatch, HttpMatch, Labels, Packet, PolicyModel, PortRange, Rule, SetId } from './model.ts'
import type { End, ReadPacket } from './read-packet.ts'
import { inNets, inPortSets, inPorts, inSet, matchDomains, matchIcmp } from './rule-match.ts'
import { printFault, type SelectorFault, selectorFaults } from './selector/near-miss.ts'
import { parseSelector } from './selector/selector.ts'

/** A criterion of a rule that a packet does not meet. */
export interface FailedCriterion {
  readonly kind:
    | 'ip-version'
    | 'protocol'
    | 'ports'
    | 'selector'
    | 'not-selector'
    | 'nets'
    | 'service'
    | 'icmp'
    | 'domains'
    | 'http'
  /** The end that it is about; null when it is about the packet as a whole. */
  readonly side: 'source' | 'destination' | null
  /** In words, as in `destination port 443 is not in 80, 8080`. */
  readonly text: string
  /** The tests of the selector that failed, where a selector did and the end has labels. */
  readonly faults: readonly SelectorFault[]
}

type Report = (kind: FailedCriterion['kind'], text: string, faults?: readonly SelectorFault[]) => void
type Model = Pick<PolicyModel, 'addressSet' | 'endpointByIp' | 'identify'>

/** Everything about a rule that a packet does not meet; nothing exactly when the rule matches it. */
export function failedCriteria(model: Model, rule: Rule, read: ReadPacket): readonly FailedCriterion[] {
  const failed: FailedCriterion[] = []
  const reportOf =
    (side: FailedCriterion['side']): Report =>
    (kind, text, faults = []) =>
      void failed.push({ kind, side, text, faults })
  const { packet, protocol, source, destination } = read
  const report = reportOf(null)
  if (rule.ipVersion !== null && rule.ipVersion !== source.family)
    report('ip-version', `${source.ip} is not IPv${rule.ipVersion}`)
  if (rule.protocol !== null && rule.protocol !== protocol)
    report('protocol', `protocol ${protocolName(protocol)} is not ${protocolName(rule.protocol)}`)
  if (rule.notProtocol !== null && rule.notProtocol === protocol)
    report('protocol', `protocol ${protocolName(protocol)} is excluded`)
  const icmp = packet.icmp === undefined ? 'no ICMP type' : `ICMP type ${packet.icmp.type} code ${packet.icmp.code}`
  if (rule.icmp !== null && !matchIcmp(rule.icmp, packet)) report('icmp', `${icmp} is not ${icmpText(rule.icmp)}`)
  if (rule.notIcmp !== null && rule.notIcmp.type !== null && matchIcmp(rule.notIcmp, packet))
    report('icmp', `${icmp} is excluded`)
  checkEntity(model, rule.source, source, read, 'source', reportOf('source'))
  checkEntity(model, rule.destination, destination, read, 'destination', reportOf('destination'))
  const { domains } = rule.destination
  if (domains.length > 0 && !matchDomains(domains, packet))
    reportOf('destination')('domains', `${namesText(destination, packet)} is not one of ${list(domains)}`)
  if (rule.http !== null && packet.http !== undefined) checkHttp(rule.http, packet.http, report)
  return failed
}

function checkEntity(
  model: Model,
  match: EntityMatch,
  end: End,
  { protocol, source, destination }: ReadPacket,
  side: 'source' | 'destination',
  report: Report,
): void {
  const other = end === source ? destination : source
  const port = `${side} port ${end.port ?? 'none'}`
  if (match.ports.length + match.portSets.length > 0) {
    if (!inPorts(match.ports, end, protocol) && !inPortSets(model, match.portSets, end)) {
      const service = match.portSets.find(isService)
      if (service === undefined) report('ports', `${port} is not in ${portsText(match.ports, match.portSets)}`)
      else report('service', `${side} ${end.ip} port ${end.port ?? 'none'} is not behind service ${nameOf(service)}`)
    }
  }
  if (inPorts(match.notPorts, end, protocol) || inPortSets(model, match.notPortSets, end))
    report('ports', `${port} is excluded by ${portsText(match.notPorts, match.notPortSets)}`)
  if (match.nets.length > 0 && !inNets(match.nets, end))
    report('nets', `${side} ${end.ip} is not in ${list(match.nets)}`)
  if (match.notNets.length > 0 && inNets(match.notNets, end))
    report('nets', `${side} ${end.ip} is excluded by ${list(match.notNets)}`)
  for (const id of match.sets) {
    if (inSet(model, id, end.ip)) continue
    if (isService(id)) report('service', `${side} ${end.ip} is not behind service ${nameOf(id)}`)
    else checkSelector(model, match.selector ?? 'all()', end, other, side, report)
  }
  for (const id of match.notSets)
    if (inSet(model, id, end.ip)) report('not-selector', `${side} ${end.ip} is excluded by ${match.notSelector}`)
}

function checkSelector(
  model: Model,
  text: string,
  end: End,
  other: End,
  side: 'source' | 'destination',
  report: Report,
): void {
  const who = describe(model, end, other)
  if (who.labels === null) {
    report('selector', `${side} ${end.ip} is no endpoint and in no network set (wanted: ${text})`)
    return
  }
  const faults = selectorFaults(parseSelector(text), who.labels)
  report('selector', `${side} ${who.name}: ${faults.map(printFault).join('; ')}`, faults)
}

/** What an address is, and the labels that selectors see on it. */
function describe(model: Model, end: End, other: End): { readonly name: string; readonly labels: Labels | null } {
  const endpoint = model.endpointByIp(end.ip)
  const place = (namespace: string | null, name: string) => (namespace === null ? name : `${namespace}/${name}`)
  if (endpoint !== null) return { name: place(endpoint.namespace, endpoint.name), labels: endpoint.labels }
  const { type, namespace: given, nameAggr, labels } = model.identify(end.ip, model.endpointByIp(other.ip))
  if (type !== 'ns') return { name: end.ip, labels: null }
  const namespace = given === '-' ? null : given
  const own = labels.map((label) => label.split(/=(.*)/s).slice(0, 2) as [string, string])
  const system = namespace === null ? {} : { 'projectcalico.org/namespace': namespace }
  return {
    name: `network set ${place(namespace, nameAggr)}`,
    labels: { ...Object.fromEntries(own), 'projectcalico.org/name': nameAggr, ...system },
  }
}

function checkHttp(match: HttpMatch, request: NonNullable<Packet['http']>, report: Report): void {
  switch (httpFault(match, request)) {
    case 'method':
      report('http', `method ${request.method} is not in ${list(match.methods)}`)
      break
    case 'path':
      report('http', `path ${request.path} is not ${match.paths.map(({ type, path }) => `${type} ${path}`).join(', ')}`)
      break
    case 'header':
      report('http', `headers are not ${match.headers.map(headerText).join(' and ')}`)
      break
    case null:
  }
}

const headerText = ({ name, operator, values }: HttpMatch['headers'][number]) =>
  `${name} ${operator}${values.length === 0 ? '' : ` ${list(values)}`}`

const icmpText = ({ type, code }: NonNullable<Rule['icmp']>) => `type ${type}${code === null ? '' : ` code ${code}`}`

function namesText({ ip }: End, { domains = [] }: Packet): string {
  return domains.length === 0 ? `destination ${ip}, which no name led to,` : `destination ${list(domains)}`
}

/** Ports as rules write them: numbers, ranges and names. */
function portsText(ports: readonly PortRange[], sets: readonly SetId[]): string {
  const numbers = ports.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return list([...numbers, ...sets.map((id) => nameOf(id))])
}

const isService = (id: SetId) => id.startsWith('svc')

/** The name in the identity of a set: of a service `namespace/name`, of a named port its name. */
function nameOf(id: SetId): string {
  const rest = id.slice(id.indexOf(':') + 1)
  return isService(id) ? rest : (rest.split(',')[1] ?? rest)
}

/** A list that stays readable. */
function list(items: readonly string[]): string {
  const most = 8
  const shown = items.slice(0, most).join(', ')
  return items.length > most ? `${shown} and ${items.length - most} more` : shown
}
