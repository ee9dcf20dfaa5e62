import type {
  ClusterPolicyPeer,
  ClusterPolicyRule,
  ClusterPolicySpec,
} from '../resources/kinds/cluster-network-policy.ts'
import type { EntityRuleSpec, RuleSpec } from '../resources/policy-spec.ts'
import type { Resource } from '../resources/resource.ts'
import { flattenRule } from './calico-policy.ts'
import { type FlatPolicy, type FlatRule, PolicyError } from './flat-policy.ts'
import { policySelector } from './flat-selector.ts'
import { type ConvertedRule, labelSelectorText, podSelector } from './kubernetes-policy.ts'
import type { Direction } from './model.ts'

/**
 * Flattens a ClusterNetworkPolicy into tier kube-admin or kube-baseline; the older AdminNetworkPolicy and BaselineAdminNetworkPolicy
 * go the same way. Throws PolicyError when it has no subject.
 */
export function flattenClusterPolicy(resource: Resource): FlatPolicy {
  const spec = resource.spec as ClusterPolicySpec
  const flatten = (rules: readonly ConvertedRule[]): FlatRule[] =>
    rules.map(({ rule, index }) => flattenRule(rule, index, null))
  const { ingress, egress } = clusterRules(spec)
  return {
    ref: { kind: 'kcnp', tier: clusterTier(resource), namespace: null, name: resource.metadata.name },
    staged: false,
    stagedAction: null,
    order: spec.priority ?? Number.POSITIVE_INFINITY,
    selector: policySelector(clusterSubject(spec), null),
    directions: clusterDirections(spec),
    rules: { ingress: flatten(ingress), egress: flatten(egress) },
    doNotTrack: false,
    preDnat: false,
    applyOnForward: false,
  }
}

/** The tier that a policy of one of the three kinds lives in. */
export function clusterTier({ kind, spec }: Resource): 'kube-admin' | 'kube-baseline' {
  const baseline = (spec as ClusterPolicySpec).tier === 'Baseline' || kind === 'BaselineAdminNetworkPolicy'
  return baseline ? 'kube-baseline' : 'kube-admin'
}

/** The directions that a policy governs: those it has rules for. */
export function clusterDirections({ ingress = [], egress = [] }: ClusterPolicySpec): Direction[] {
  return [...(ingress.length > 0 ? (['ingress'] as const) : []), ...(egress.length > 0 ? (['egress'] as const) : [])]
}

/** What a policy selects, in Calico's terms. Throws PolicyError when it has no subject. */
export function clusterSubject({ subject: { namespaces, pods } }: ClusterPolicySpec): EntityRuleSpec {
  if (namespaces === undefined && pods === undefined) throw new PolicyError('the policy has no subject')
  return peerOf(
    namespaces === undefined ? { ...(pods && { pods }) } : { namespaces },
    'Allow',
    'source',
  ) as EntityRuleSpec
}

/** The rules of a policy in Calico's terms. */
export function clusterRules({ ingress = [], egress = [] }: ClusterPolicySpec): Record<Direction, ConvertedRule[]> {
  const convert = (rules: readonly ClusterPolicyRule[], side: 'source' | 'destination') =>
    rules.flatMap((given, index) => clusterRule(given, side).map((rule) => ({ index, rule })))
  return { ingress: convert(ingress, 'source'), egress: convert(egress, 'destination') }
}

/** The rules that one becomes. One that cannot be said in our terms must not open anything: a Deny then denies all, others fall away. */
function clusterRule(rule: ClusterPolicyRule, side: 'source' | 'destination'): RuleSpec[] {
  const action = rule.action === 'Accept' ? 'Allow' : rule.action
  const peers = ((side === 'source' ? rule.from : rule.to) ?? []).map((peer) => peerOf(peer, action, side))
  const ports = portsOf(rule)
  const named = rule.name === undefined ? {} : { metadata: { annotations: { name: rule.name } } }
  if (peers.includes(null) || ports.includes(null)) return action === 'Deny' ? [{ action, ...named }] : []
  return peers.flatMap((peer) =>
    ports.map((match): RuleSpec => {
      const destination = {
        ...(side === 'destination' ? peer : {}),
        ...(match?.port !== undefined && { ports: [match.port] }),
      }
      return {
        action,
        ...named,
        ...(match?.protocol !== undefined && { protocol: match.protocol }),
        ...(side === 'source' && { source: peer as EntityRuleSpec }),
        ...(Object.keys(destination).length > 0 && { destination }),
      }
    }),
  )
}

/** One peer; null when it cannot be said: a node, addresses as a source, names of a rule that does not allow. */
function peerOf(
  { namespaces, pods, networks, domainNames }: ClusterPolicyPeer,
  action: RuleSpec['action'],
  side: 'source' | 'destination',
): EntityRuleSpec | null {
  if (networks !== undefined) return side === 'destination' ? { nets: networks } : null
  if (domainNames !== undefined) return side === 'destination' && action === 'Allow' ? { domains: domainNames } : null
  if (namespaces !== undefined)
    return { namespaceSelector: labelSelectorText(namespaces) || 'all()', selector: podSelector({}) }
  if (pods === undefined) return null
  return {
    namespaceSelector: labelSelectorText(pods.namespaceSelector ?? {}) || 'all()',
    selector: podSelector(pods.podSelector),
  }
}

interface PortMatch {
  readonly protocol?: string
  readonly port?: string | number
}

/** Alternatives of protocol and port; null stands for one that cannot be said. */
function portsOf({ protocols = [], ports = [] }: ClusterPolicyRule): (PortMatch | null)[] {
  const newer = protocols.map(({ tcp, udp, sctp, destinationNamedPort }): PortMatch | null => {
    if (destinationNamedPort !== undefined) return { port: destinationNamedPort }
    const given = tcp ?? udp ?? sctp
    if (given === undefined) return null
    const protocol = tcp !== undefined ? 'TCP' : udp !== undefined ? 'UDP' : 'SCTP'
    const { number, range } = given.destinationPort ?? {}
    if (number !== undefined) return { protocol, port: number }
    return range === undefined ? { protocol } : { protocol, port: `${range.start}:${range.end}` }
  })
  const older = ports.map(({ portNumber, portRange, namedPort }): PortMatch | null => {
    if (namedPort !== undefined) return { port: namedPort }
    if (portNumber !== undefined) return { protocol: portNumber.protocol ?? 'TCP', port: portNumber.port }
    return portRange === undefined
      ? null
      : { protocol: portRange.protocol ?? 'TCP', port: `${portRange.start}:${portRange.end}` }
  })
  const all = [...newer, ...older]
  return all.length === 0 ? [{}] : all
}
