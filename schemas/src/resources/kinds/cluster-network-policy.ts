import { type Static, type TObject, Type } from 'typebox'
import type { Report } from '../finding.ts'
import { type Check, defineKind } from '../kind.ts'
import type { Path } from '../path.ts'
import type { Resource } from '../resource.ts'
import { formatted, labelSelector, oneOf, optional, status } from '../schema.ts'
import { checkLabelSelector } from './kubernetes-network-policy.ts'

/** ClusterNetworkPolicy (v1alpha2) and its predecessors AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1). */
const pods = Type.Object({ namespaceSelector: optional(labelSelector()), podSelector: optional(labelSelector()) })
const subject = Type.Object({ namespaces: optional(labelSelector()), pods: optional(pods) })
const peer = Type.Object({
  namespaces: optional(labelSelector()),
  pods: optional(pods),
  networks: optional(Type.Array(formatted('net'))),
  domainNames: optional(Type.Array(formatted('domain'))),
  nodes: optional(labelSelector()),
})
const number = () => optional(Type.Integer({ minimum: 1, maximum: 65535 }))
const range = optional(
  Type.Object({
    start: Type.Integer({ minimum: 1, maximum: 65535 }),
    end: Type.Integer({ minimum: 1, maximum: 65535 }),
  }),
)
const destination = optional(Type.Object({ destinationPort: optional(Type.Object({ number: number(), range })) }))
const protocols = Type.Object({
  tcp: destination,
  udp: destination,
  sctp: destination,
  destinationNamedPort: optional(Type.String()),
})
/** Ports of the older generation. */
const olderPort = Type.Object({
  portNumber: optional(
    Type.Object({ protocol: optional(Type.String()), port: Type.Integer({ minimum: 1, maximum: 65535 }) }),
  ),
  portRange: optional(
    Type.Object({
      protocol: optional(Type.String()),
      start: Type.Integer({ minimum: 1, maximum: 65535 }),
      end: Type.Integer({ minimum: 1, maximum: 65535 }),
    }),
  ),
  namedPort: optional(Type.String()),
})
const rule = Type.Object({
  name: optional(Type.String({ maxLength: 100 })),
  action: oneOf(['Accept', 'Allow', 'Deny', 'Pass']),
  from: optional(Type.Array(peer, { minItems: 1 })),
  to: optional(Type.Array(peer, { minItems: 1 })),
  protocols: optional(Type.Array(protocols)),
  ports: optional(Type.Array(olderPort)),
})
const spec = Type.Object({
  tier: optional(oneOf(['Admin', 'Baseline'])),
  priority: optional(Type.Integer({ minimum: 0, maximum: 1000 })),
  subject,
  ingress: optional(Type.Array(rule)),
  egress: optional(Type.Array(rule)),
})

export type ClusterPolicySpec = Static<typeof spec>
export type ClusterPolicyRule = Static<typeof rule>
export type ClusterPolicyPeer = Static<typeof peer>

const specOf = (resource: Resource): ClusterPolicySpec => resource.spec as ClusterPolicySpec

const subjectHolds: Check = (resource, report) => {
  const { namespaces, pods } = specOf(resource).subject
  if ((namespaces === undefined) === (pods === undefined)) {
    report.error(['spec', 'subject'], 'subject', 'subject is either namespaces or pods')
  }
  checkPeer(specOf(resource).subject, ['spec', 'subject'], report)
}

function checkPeer({ namespaces, pods, nodes }: ClusterPolicyPeer, at: Path, report: Report): void {
  checkLabelSelector(namespaces, [...at, 'namespaces'], report)
  checkLabelSelector(pods?.namespaceSelector, [...at, 'pods', 'namespaceSelector'], report)
  checkLabelSelector(pods?.podSelector, [...at, 'pods', 'podSelector'], report)
  checkLabelSelector(nodes, [...at, 'nodes'], report)
}

/** The actions of each kind. */
const actions: Readonly<Record<string, readonly string[]>> = {
  ClusterNetworkPolicy: ['Accept', 'Deny', 'Pass'],
  AdminNetworkPolicy: ['Allow', 'Deny', 'Pass'],
  BaselineAdminNetworkPolicy: ['Allow', 'Deny'],
}

const rulesHold: Check = (resource, report) => {
  const { ingress = [], egress = [] } = specOf(resource)
  const check = (rule: ClusterPolicyRule, field: 'from' | 'to', at: Path) => {
    const allowed = actions[resource.kind] ?? []
    if (!allowed.includes(rule.action))
      report.error([...at, 'action'], 'one-of', `must be one of ${allowed.join(', ')}, not "${rule.action}"`)
    const peers = rule[field]
    if (peers === undefined) report.error([...at, field], 'required', `${field} is required`)
    for (const [index, given] of (peers ?? []).entries()) {
      checkPeer(given, [...at, field, index], report)
      checkPeerKind(given, rule, field, [...at, field, index], report)
    }
    for (const [index, given] of (rule.protocols ?? []).entries())
      checkProtocol(given, [...at, 'protocols', index], report)
    for (const [index, given] of (rule.ports ?? []).entries()) checkOlderPort(given, [...at, 'ports', index], report)
  }
  for (const [index, rule] of ingress.entries()) check(rule, 'from', ['spec', 'ingress', index])
  for (const [index, rule] of egress.entries()) check(rule, 'to', ['spec', 'egress', index])
}

/** A peer is one thing, and one that can be said in Calico's terms, or the rule is not enforced as it is written. */
function checkPeerKind(
  peer: ClusterPolicyPeer,
  { action }: ClusterPolicyRule,
  field: 'from' | 'to',
  at: Path,
  report: Report,
): void {
  const given = Object.entries(peer).flatMap(([kind, value]) => (value === undefined ? [] : [kind]))
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    report.error(at, 'peer-kind', 'a peer is one of namespaces, pods, networks, domainNames and nodes')
    return
  }
  const isAllow = action === 'Accept' || action === 'Allow'
  const reason =
    kind === 'nodes'
      ? 'peers by node are not supported'
      : field === 'from' && (kind === 'networks' || kind === 'domainNames')
        ? `${kind} are possible in egress rules only`
        : kind === 'domainNames' && !isAllow
          ? 'domainNames are possible in rules that allow only'
          : null
  if (reason === null) return
  const effect = action === 'Deny' ? 'so the rule denies everything' : 'so the rule is left out'
  report.warning([...at, kind], 'unsupported-peer', `${reason}, ${effect}`)
}

function checkProtocol(given: Static<typeof protocols>, at: Path, report: Report): void {
  const { tcp, udp, sctp, destinationNamedPort } = given
  const named = [tcp, udp, sctp, destinationNamedPort].filter((one) => one !== undefined)
  if (named.length !== 1)
    report.error(at, 'protocol-kind', 'an entry is one of tcp, udp, sctp and destinationNamedPort')
  for (const name of ['tcp', 'udp', 'sctp'] as const) {
    const port = given[name]?.destinationPort
    if (port === undefined) continue
    const place = [...at, name, 'destinationPort']
    if ((port.number === undefined) === (port.range === undefined))
      report.error(place, 'port', 'destinationPort is either number or range')
    checkRange(port.range, [...place, 'range'], report)
  }
}

function checkOlderPort(given: Static<typeof olderPort>, at: Path, report: Report): void {
  const { portNumber, portRange, namedPort } = given
  if ([portNumber, portRange, namedPort].filter((one) => one !== undefined).length !== 1)
    report.error(at, 'port', 'a port is one of portNumber, portRange and namedPort')
  checkRange(portRange, [...at, 'portRange'], report)
}

function checkRange(range: { start: number; end: number } | undefined, at: Path, report: Report): void {
  if (range !== undefined && range.end < range.start)
    report.error([...at, 'end'], 'port', `range ${range.start} to ${range.end} ends before it begins`)
}

const needs =
  (field: 'tier' | 'priority'): Check =>
  (resource, report) => {
    if (specOf(resource)[field] === undefined) report.error(['spec', field], 'required', `${field} is required`)
  }

const members: TObject = Type.Object({ spec, status: status() })
const older = ['policy.networking.k8s.io/v1alpha1'] as const

export const clusterNetworkPolicy = defineKind({
  kind: 'ClusterNetworkPolicy',
  plural: 'clusternetworkpolicies',
  shortNames: ['kcnp'],
  apiVersions: ['policy.networking.k8s.io/v1alpha2'],
  namespaced: false,
  members,
  checks: [needs('tier'), needs('priority'), subjectHolds, rulesHold],
})

export const adminNetworkPolicy = defineKind({
  kind: 'AdminNetworkPolicy',
  plural: 'adminnetworkpolicies',
  shortNames: ['anp'],
  apiVersions: older,
  namespaced: false,
  members,
  checks: [needs('priority'), subjectHolds, rulesHold],
})

export const baselineAdminNetworkPolicy = defineKind({
  kind: 'BaselineAdminNetworkPolicy',
  plural: 'baselineadminnetworkpolicies',
  shortNames: ['banp'],
  apiVersions: older,
  namespaced: false,
  members,
  nameRule: (name) => (name === 'default' ? null : 'must be "default": there is one only'),
  checks: [subjectHolds, rulesHold],
})
