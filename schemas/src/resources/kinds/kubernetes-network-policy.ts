import { type Static, Type } from 'typebox'
import { cidrContains, parseCidr } from '../../policy/ip.ts'
import type { Report } from '../finding.ts'
import { type Check, calico, defineKind } from '../kind.ts'
import { keyProblem, labelValueProblem } from '../name.ts'
import type { Path } from '../path.ts'
import { portProblem, readPort } from '../port.ts'
import type { Resource } from '../resource.ts'
import { formatted, labelSelector, oneOf, optional, port, status } from '../schema.ts'
import { checkStagedDeletion } from './network-policy.ts'

const peer = Type.Object({
  podSelector: optional(labelSelector()),
  namespaceSelector: optional(labelSelector()),
  ipBlock: optional(Type.Object({ cidr: formatted('net'), except: optional(Type.Array(formatted('net'))) })),
})
const policyPort = Type.Object({
  protocol: optional(oneOf(['TCP', 'UDP', 'SCTP'])),
  port: optional(port()),
  endPort: optional(Type.Integer({ minimum: 1, maximum: 65535 })),
})
const peers = () => optional(Type.Array(peer))
const ports = optional(Type.Array(policyPort))

const members = {
  podSelector: optional(labelSelector()),
  policyTypes: optional(Type.Array(oneOf(['Ingress', 'Egress']), { maxItems: 2, uniqueItems: true })),
  ingress: optional(Type.Array(Type.Object({ from: peers(), ports }))),
  egress: optional(Type.Array(Type.Object({ to: peers(), ports }))),
}

const kubernetesPolicySpec = Type.Object({
  ...members,
  stagedAction: optional(oneOf(['Set', 'Delete', 'Learn', 'Ignore'])),
})

export type KubernetesPolicySpec = Static<typeof kubernetesPolicySpec>
export type KubernetesPeer = Static<typeof peer>
export type KubernetesPort = Static<typeof policyPort>
export type LabelSelectorSpec = Static<ReturnType<typeof labelSelector>>

const specOf = (resource: Resource): KubernetesPolicySpec => (resource.spec ?? {}) as KubernetesPolicySpec

const selectorsHold: Check = (resource, report) => {
  const spec = specOf(resource)
  checkLabelSelector(spec.podSelector, ['spec', 'podSelector'], report)
  for (const [index, rule] of (spec.ingress ?? []).entries()) {
    for (const [i, from] of (rule.from ?? []).entries()) checkPeer(from, ['spec', 'ingress', index, 'from', i], report)
    for (const [i, given] of (rule.ports ?? []).entries())
      checkPort(given, ['spec', 'ingress', index, 'ports', i], report)
  }
  for (const [index, rule] of (spec.egress ?? []).entries()) {
    for (const [i, to] of (rule.to ?? []).entries()) checkPeer(to, ['spec', 'egress', index, 'to', i], report)
    for (const [i, given] of (rule.ports ?? []).entries())
      checkPort(given, ['spec', 'egress', index, 'ports', i], report)
  }
}

function checkPeer(given: KubernetesPeer, at: Path, report: Report): void {
  const { podSelector, namespaceSelector, ipBlock } = given
  if (podSelector === undefined && namespaceSelector === undefined && ipBlock === undefined) {
    report.error(at, 'peer-empty', 'a peer needs podSelector, namespaceSelector or ipBlock')
  }
  checkLabelSelector(podSelector, [...at, 'podSelector'], report)
  checkLabelSelector(namespaceSelector, [...at, 'namespaceSelector'], report)
  if (ipBlock === undefined) return
  if (podSelector !== undefined || namespaceSelector !== undefined) {
    report.error(
      [...at, 'ipBlock'],
      'ip-block-alone',
      'ipBlock cannot be combined with podSelector or namespaceSelector',
    )
  }
  const block = parseCidr(ipBlock.cidr)
  for (const [index, text] of (ipBlock.except ?? []).entries()) {
    const inner = parseCidr(text)
    if (block !== null && inner !== null && !(cidrContains(block, inner) && inner.prefix > block.prefix)) {
      report.error([...at, 'ipBlock', 'except', index], 'ip-block-except', `${text} is not a part of ${ipBlock.cidr}`)
    }
  }
}

function checkPort(given: KubernetesPort, at: Path, report: Report): void {
  const problem = given.port === undefined ? null : portProblem(given.port)
  if (problem !== null) report.error([...at, 'port'], 'port', problem)
  else if (typeof given.port === 'string' && readPort(given.port).kind === 'range')
    report.error([...at, 'port'], 'port', `port ${given.port} must be a number, or a name with a letter in it`)
  if (given.endPort === undefined) return
  if (typeof given.port !== 'number') report.error([...at, 'endPort'], 'end-port', 'endPort needs a numeric port')
  else if (given.endPort < given.port) report.error([...at, 'endPort'], 'end-port', 'endPort is below port')
}

/** Checks a Kubernetes label selector: keys, values, and that every expression has the values its operator needs. */
export function checkLabelSelector(given: LabelSelectorSpec | undefined, at: Path, report: Report): void {
  const checkKey = (key: string, place: Path) => {
    const problem = keyProblem(key)
    if (problem !== null) report.error(place, 'label', `label ${key}: ${problem}`)
  }
  const checkValue = (value: string, place: Path) => {
    const problem = labelValueProblem(value)
    if (problem !== null) report.error(place, 'label', `label value ${JSON.stringify(value)} ${problem}`)
  }
  for (const [key, value] of Object.entries(given?.matchLabels ?? {})) {
    checkKey(key, [...at, 'matchLabels', key])
    checkValue(value, [...at, 'matchLabels', key])
  }
  for (const [index, { key, operator, values = [] }] of (given?.matchExpressions ?? []).entries()) {
    const place = [...at, 'matchExpressions', index]
    checkKey(key, [...place, 'key'])
    for (const [i, value] of values.entries()) checkValue(value, [...place, 'values', i])
    const wanted = operator === 'In' || operator === 'NotIn'
    if (wanted && values.length === 0) report.error([...place, 'values'], 'match-values', `${operator} needs values`)
    if (!wanted && values.length > 0) report.error([...place, 'values'], 'match-values', `${operator} takes no values`)
  }
}

/** Kubernetes itself fills in policyTypes: Ingress, and Egress when there are egress rules. */
function completePolicyTypes(resource: Resource): void {
  const spec = specOf(resource)
  resource.spec = spec
  if (spec.stagedAction === 'Delete') return
  spec.policyTypes ??= spec.egress !== undefined && spec.egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
}

export const kubernetesNetworkPolicy = defineKind({
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  shortNames: ['netpol'],
  apiVersions: ['networking.k8s.io/v1'],
  namespaced: true,
  members: Type.Object({ spec: Type.Optional(Type.Object(members)), status: status() }),
  checks: [selectorsHold],
  defaults: completePolicyTypes,
})

export const stagedKubernetesNetworkPolicy = defineKind({
  kind: 'StagedKubernetesNetworkPolicy',
  plural: 'stagedkubernetesnetworkpolicies',
  shortNames: ['sknp'],
  apiVersions: calico,
  namespaced: true,
  members: Type.Object({ spec: Type.Optional(kubernetesPolicySpec), status: status() }),
  checks: [selectorsHold, checkStagedDeletion],
  defaults(resource) {
    completePolicyTypes(resource)
    specOf(resource).stagedAction ??= 'Set'
  },
})
