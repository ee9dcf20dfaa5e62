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

const rulesHold: Check = (resource, report) => {
  const { ingress = [], egress = [] } = specOf(resource)
  const check = (peers: readonly ClusterPolicyPeer[] | undefined, at: Path) => {
    if (peers === undefined) report.error(at, 'required', `${at.at(-1)} is required`)
    for (const [index, given] of (peers ?? []).entries()) checkPeer(given, [...at, index], report)
  }
  for (const [index, { from }] of ingress.entries()) check(from, ['spec', 'ingress', index, 'from'])
  for (const [index, { to }] of egress.entries()) check(to, ['spec', 'egress', index, 'to'])
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
