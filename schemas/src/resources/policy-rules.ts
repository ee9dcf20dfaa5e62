import { headerPattern, normalPath } from '../policy/http-match.ts'
import { parseCidr } from '../policy/ip.ts'
import type { Report } from './finding.ts'
import type { Path } from './path.ts'
import type { EntityRuleSpec, RuleSpec } from './policy-spec.ts'
import { portProblem, readPort } from './port.ts'
import { hasPorts, protocolNumber } from './protocol.ts'

/** Where a rule stands: what it means depends on it. */
export interface RulePlace {
  readonly direction: 'ingress' | 'egress'
  /** True in a GlobalNetworkPolicy. */
  readonly global: boolean
}

type RuleCheck = (rule: RuleSpec, at: Path, report: Report, place: RulePlace) => void

const sides = ['source', 'destination'] as const

/** Checks one rule of a Calico policy: everything that its structure cannot say (spec 5.3, 5.13). */
export function checkRule(rule: RuleSpec, at: Path, report: Report, place: RulePlace): void {
  for (const check of ruleChecks) check(rule, at, report, place)
}

const portsNeedProtocol: RuleCheck = (rule, at, report) => {
  const number = rule.protocol === undefined ? null : protocolNumber(rule.protocol)
  for (const side of sides) {
    for (const list of ['ports', 'notPorts'] as const) {
      for (const [index, port] of (rule[side]?.[list] ?? []).entries()) {
        const place = [...at, side, list, index]
        const problem = portProblem(port)
        if (problem !== null) report.error(place, 'port', problem)
        else if (number === null && readPort(port).kind === 'range') {
          report.error(place, 'port-needs-protocol', `port ${port} needs protocol TCP, UDP or SCTP on the rule`)
        } else if (number !== null && !hasPorts(number)) {
          report.error(place, 'port-needs-protocol', `protocol ${rule.protocol} has no ports; use TCP, UDP or SCTP`)
        }
      }
    }
  }
}

const icmpFits: RuleCheck = (rule, at, report) => {
  for (const field of ['icmp', 'notICMP'] as const) {
    const match = rule[field]
    if (match === undefined) continue
    if (match.code !== undefined && match.type === undefined) {
      report.error([...at, field, 'code'], 'icmp-code-needs-type', 'code needs type')
    }
    const number = rule.protocol === undefined ? null : protocolNumber(rule.protocol)
    if (number !== 1 && number !== 58) {
      report.error([...at, field], 'icmp-needs-protocol', `${field} needs protocol ICMP or ICMPv6 on the rule`)
    }
  }
  for (const field of ['protocol', 'notProtocol'] as const) {
    const number = rule[field] === undefined ? null : protocolNumber(rule[field])
    if ((number === 1 && rule.ipVersion === 6) || (number === 58 && rule.ipVersion === 4)) {
      report.error(
        [...at, 'ipVersion'],
        'ip-version-conflict',
        `${field} ${rule[field]} does not exist in IPv${rule.ipVersion}`,
      )
    }
  }
}

const netsOfOneFamily: RuleCheck = (rule, at, report) => {
  let family = rule.ipVersion ?? null
  let origin = family === null ? '' : 'ipVersion'
  for (const side of sides) {
    for (const list of ['nets', 'notNets'] as const) {
      for (const [index, text] of (rule[side]?.[list] ?? []).entries()) {
        const cidr = parseCidr(text)
        if (cidr === null) continue
        const place = [...at, side, list, index]
        if (list === 'notNets' && cidr.prefix === 0) {
          report.error(place, 'not-nets-excludes-all', `${text} under notNets excludes every address`)
        }
        if (family === null) {
          family = cidr.family
          origin = text
        } else if (family !== cidr.family) {
          report.error(
            place,
            'mixed-ip-families',
            `${text} is IPv${cidr.family} but ${origin} makes this rule IPv${family}; split the rule`,
          )
        }
      }
    }
  }
}

const exclusiveWithServices = [
  'selector',
  'notSelector',
  'namespaceSelector',
  'nets',
  'notNets',
  'serviceAccounts',
  'ports',
  'notPorts',
] as const

const servicesInPlace: RuleCheck = (rule, at, report, { direction, global }) => {
  for (const side of sides) {
    const entity = rule[side]
    if (entity?.services === undefined) continue
    const place = [...at, side, 'services']
    if ((side === 'destination') !== (direction === 'egress')) {
      report.error(
        place,
        'services-place',
        'services may stand in the destination of egress rules and the source of ingress rules only',
      )
    }
    const forbidden = exclusiveWithServices.filter((field) => isGiven(entity[field]))
    if (forbidden.length > 0)
      report.error(place, 'services-alone', `services cannot be combined with ${forbidden.join(', ')}`)
    if (global && !isGiven(entity.services.namespace)) {
      report.error([...place, 'namespace'], 'services-namespace', 'services needs a namespace in a global policy')
    }
  }
}

const httpOnlyToAllow: RuleCheck = (rule, at, report, { direction }) => {
  const { http } = rule
  if (http === undefined) return
  const place = [...at, 'http']
  if (rule.action !== 'Allow')
    report.error(place, 'http-needs-allow', `http is possible with action Allow only, not ${rule.action}`)
  if (direction !== 'ingress') report.error(place, 'http-needs-ingress', 'http is possible in ingress rules only')
  if (rule.protocol !== undefined && protocolNumber(rule.protocol) !== 6) {
    report.error(place, 'http-needs-tcp', `http needs protocol TCP or none, not ${rule.protocol}`)
  }
  for (const [index, path] of (http.paths ?? []).entries()) {
    const text = path.exact ?? path.prefix
    if ((path.exact === undefined) === (path.prefix === undefined)) {
      report.error([...place, 'paths', index], 'http-path', 'a path is either exact or prefix')
    } else if (text !== undefined && normalPath(text) === null) {
      report.error([...place, 'paths', index], 'http-path', `no request can have the path ${JSON.stringify(text)}`)
    }
  }
  for (const [index, header] of (http.headers ?? []).entries())
    checkHeader(header, [...place, 'headers', index], report)
}

function checkHeader(
  { header, operator, values = [] }: NonNullable<NonNullable<RuleSpec['http']>['headers']>[number],
  at: Path,
  report: Report,
): void {
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(header))
    report.error([...at, 'header'], 'http-header', `${JSON.stringify(header)} is no name of a header`)
  const takesNone = operator === 'Exists' || operator === 'DoesNotExist'
  if (takesNone && values.length > 0) report.error([...at, 'values'], 'http-header', `${operator} takes no values`)
  if (!takesNone && values.length === 0) report.error([...at, 'values'], 'http-header', `${operator} needs values`)
  if (operator !== 'MatchesRegex') return
  for (const [index, text] of values.entries()) {
    if (headerPattern(text) === null)
      report.error([...at, 'values', index], 'http-header', `${JSON.stringify(text)} is no regular expression`)
  }
}

const domainsInPlace: RuleCheck = (rule, at, report, { direction }) => {
  for (const side of sides) {
    const entity = rule[side]
    if (!isGiven(entity?.domains)) continue
    const place = [...at, side, 'domains']
    if (side !== 'destination' || direction !== 'egress' || rule.action !== 'Allow') {
      report.error(
        place,
        'domains-place',
        'domains may stand in the destination of egress rules with action Allow only',
      )
    }
    const also = (['nets', 'selector'] as const).filter((field) => isGiven(entity?.[field]))
    if (also.length > 0) report.error(place, 'domains-alone', `domains cannot be combined with ${also.join(', ')}`)
  }
}

const ruleChecks: readonly RuleCheck[] = [
  portsNeedProtocol,
  icmpFits,
  netsOfOneFamily,
  servicesInPlace,
  httpOnlyToAllow,
  domainsInPlace,
]

/** True for a value that says something: not absent, not empty text, not an empty list or object. */
export function isGiven(value: EntityRuleSpec[keyof EntityRuleSpec] | string): boolean {
  return value !== undefined && value !== '' && !(typeof value === 'object' && Object.keys(value).length === 0)
}
