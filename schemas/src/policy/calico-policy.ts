import type { EntityRuleSpec, PolicySpec, RuleSpec } from '../resources/policy-spec.ts'
import { readPort } from '../resources/port.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalDomain } from './domain.ts'
import { anyEntity, type FlatEntity, type FlatPolicy, type FlatRule, PolicyError, type Ports } from './flat-policy.ts'
import { entitySelector, policySelector } from './flat-selector.ts'
import { canonicalCidrs, parseCidr } from './ip.ts'
import type { Action, Direction, HttpMatch, PolicyKind, PortRange } from './model.ts'
import { parseSelector } from './selector/selector.ts'

const shortKinds: Readonly<Record<string, PolicyKind>> = {
  NetworkPolicy: 'np',
  GlobalNetworkPolicy: 'gnp',
  StagedNetworkPolicy: 'snp',
  StagedGlobalNetworkPolicy: 'sgnp',
}

/** Flattens a Calico policy of any of the four kinds. Throws SelectorError and PolicyError. */
export function flattenCalicoPolicy(resource: Resource): FlatPolicy {
  const kind = shortKinds[resource.kind] as PolicyKind
  const spec = (resource.spec ?? {}) as PolicySpec
  const namespace = kind === 'np' || kind === 'snp' ? (resource.metadata.namespace ?? 'default') : null
  const staged = kind === 'snp' || kind === 'sgnp'
  const types = spec.types ?? []
  const action = staged ? stagedAction(spec.stagedAction) : null
  const rules = (list: readonly RuleSpec[] | undefined) =>
    (list ?? []).map((rule, index) => flattenRule(rule, index, namespace))
  return {
    ref: { kind, tier: spec.tier ?? 'default', namespace, name: resource.metadata.name },
    staged,
    stagedAction: action === 'none' ? null : action,
    order: spec.order ?? Number.POSITIVE_INFINITY,
    selector: policySelector(spec, namespace),
    directions: action === 'delete' || action === 'none' ? [] : types.map((type) => type.toLowerCase() as Direction),
    rules: { ingress: rules(spec.ingress), egress: rules(spec.egress) },
    doNotTrack: spec.doNotTrack ?? false,
    preDnat: spec.preDNAT ?? false,
    applyOnForward: spec.applyOnForward ?? false,
  }
}

/** A recommendation that somebody chose to ignore previews nothing; one that is still being learnt previews its rules. */
export function stagedAction(action: string | undefined): 'set' | 'delete' | 'none' {
  if (action === 'Delete') return 'delete'
  return action === 'Ignore' ? 'none' : 'set'
}

/** Flattens one rule; `namespace` is the policy's, null for a global one. */
export function flattenRule(rule: RuleSpec, index: number, namespace: string | null): FlatRule {
  return {
    index,
    action: rule.action.toLowerCase() as Action,
    ipVersion: rule.ipVersion ?? familyOf(rule),
    protocol: protocolOf(rule.protocol),
    notProtocol: protocolOf(rule.notProtocol),
    icmp: icmpOf(rule.icmp),
    notIcmp: icmpOf(rule.notICMP),
    http: httpOf(rule.http),
    source: flattenEntity(rule.source, namespace),
    destination: flattenEntity(rule.destination, namespace),
  }
}

/**
 * The IP version that a rule is bound to by its blocks: a list of one family has no meaning for packets of the other, so that even a rule
 * that excludes IPv6 blocks only is no rule for IPv4 (spec 14, 4.2). Null when no list binds it.
 */
function familyOf({ source, destination }: RuleSpec): 4 | 6 | null {
  for (const list of [source?.nets, source?.notNets, destination?.nets, destination?.notNets]) {
    if (list === undefined || list.length === 0) continue
    const families = new Set(list.map((net) => parseCidr(net)?.family))
    const [family] = families
    if (families.size === 1 && family !== undefined) return family
  }
  return null
}

function protocolOf(protocol: string | number | undefined): number | null {
  if (protocol === undefined) return null
  const number = protocolNumber(protocol)
  if (number === null) throw new PolicyError(`there is no protocol ${protocol}`)
  return number
}

function icmpOf(icmp: { type?: number; code?: number } | undefined): FlatRule['icmp'] {
  return icmp === undefined ? null : { type: icmp.type ?? null, code: icmp.code ?? null }
}

function httpOf(http: RuleSpec['http']): HttpMatch | null {
  if (http === undefined) return null
  const { methods = [], paths = [], headers = [] } = http
  return {
    methods,
    paths: paths.map(({ exact, prefix }) =>
      exact === undefined ? { type: 'prefix', path: prefix ?? '/' } : { type: 'exact', path: exact },
    ),
    headers: headers.map(({ header, operator, values = [] }) => ({ name: header.toLowerCase(), operator, values })),
  }
}

function flattenEntity(entity: EntityRuleSpec | undefined, namespace: string | null): FlatEntity {
  if (entity === undefined) return anyEntity
  const { services } = entity
  return {
    selector: entitySelector(entity, namespace),
    notSelector: entity.notSelector ? parseSelector(entity.notSelector) : null,
    nets: netsOf(entity.nets),
    notNets: netsOf(entity.notNets),
    ports: portsOf(entity.ports),
    notPorts: portsOf(entity.notPorts),
    service:
      services === undefined ? null : { namespace: services.namespace || (namespace ?? ''), name: services.name },
    domains: entity.domains?.map(canonicalDomain) ?? anyEntity.domains,
  }
}

function netsOf(nets: readonly string[] | undefined): readonly string[] {
  if (nets === undefined || nets.length === 0) return anyEntity.nets
  const wrong = nets.find((net) => parseCidr(net) === null)
  if (wrong !== undefined) throw new PolicyError(`${wrong} is neither an address nor a CIDR block`)
  return canonicalCidrs(nets)
}

function portsOf(ports: readonly (string | number)[] | undefined): Ports {
  if (ports === undefined || ports.length === 0) return anyEntity.ports
  const ranges: PortRange[] = []
  const names: string[] = []
  for (const port of ports) {
    const read = readPort(port)
    if (read.kind === 'range') ranges.push({ first: read.first, last: read.last })
    else names.push(read.name)
  }
  return { ranges, names }
}
