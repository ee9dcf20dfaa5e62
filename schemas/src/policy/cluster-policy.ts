import type {
  ClusterPolicyPeer,
  ClusterPolicyRule,
  ClusterPolicySpec,
} from '../resources/kinds/cluster-network-policy.ts'
import type { EntityRuleSpec, RuleSpec } from '../resources/policy-spec.ts'
import type { Resource } from '../resources/resource.ts'
import { flattenRule } from './calico-policy.ts'
import { anyRule, type FlatPolicy, type FlatRule, PolicyError } from './flat-policy.ts'
import { policySelector } from './flat-selector.ts'
import { labelSelectorText, podSelector } from './kubernetes-policy.ts'
import type { Direction } from './model.ts'

/**
 * Flattens a ClusterNetworkPolicy into tier kube-admin or kube-baseline; the older AdminNetworkPolicy and BaselineAdminNetworkPolicy
 * go the same way. Throws PolicyError when it has no subject.
 */
export function flattenClusterPolicy(resource: Resource): FlatPolicy {
  const spec = resource.spec as ClusterPolicySpec
  const baseline = spec.tier === 'Baseline' || resource.kind === 'BaselineAdminNetworkPolicy'
  const { ingress = [], egress = [] } = spec
  const directions: Direction[] = [
    ...(ingress.length > 0 ? (['ingress'] as const) : []),
    ...(egress.length > 0 ? (['egress'] as const) : []),
  ]
  return {
    ref: {
      kind: 'kcnp',
      tier: baseline ? 'kube-baseline' : 'kube-admin',
      namespace: null,
      name: resource.metadata.name,
    },
    staged: false,
    stagedAction: null,
    order: spec.priority ?? Number.POSITIVE_INFINITY,
    selector: policySelector(subjectOf(spec), null),
    directions,
    rules: {
      ingress: ingress.flatMap((rule, index) => rulesOf(rule, index, 'source')),
      egress: egress.flatMap((rule, index) => rulesOf(rule, index, 'destination')),
    },
    doNotTrack: false,
    preDnat: false,
    applyOnForward: false,
  }
}

function subjectOf({ subject }: ClusterPolicySpec): EntityRuleSpec {
  if (subject.namespaces !== undefined) return peerOf({ namespaces: subject.namespaces }) as EntityRuleSpec
  if (subject.pods !== undefined) return peerOf({ pods: subject.pods }) as EntityRuleSpec
  throw new PolicyError('the policy has no subject')
}

/** The rules that one becomes. One that cannot be said in our terms must not open anything: a Deny then denies all, others fall away. */
function rulesOf(rule: ClusterPolicyRule, index: number, side: 'source' | 'destination'): FlatRule[] {
  const action = rule.action === 'Accept' ? 'Allow' : rule.action
  const peers = ((side === 'source' ? rule.from : rule.to) ?? []).map(peerOf)
  const ports = portsOf(rule)
  if (peers.includes(null) || ports.includes(null)) return action === 'Deny' ? [anyRule(index, 'deny')] : []
  return peers.flatMap((peer) =>
    ports.map((match) => {
      const spec: RuleSpec = {
        action,
        ...(match?.protocol !== undefined && { protocol: match.protocol }),
        ...(side === 'source' && { source: peer as EntityRuleSpec }),
        destination: {
          ...(side === 'destination' ? peer : {}),
          ...(match?.port !== undefined && { ports: [match.port] }),
        },
      }
      return flattenRule(spec, index, null)
    }),
  )
}

function peerOf({ namespaces, pods, networks, domainNames }: ClusterPolicyPeer): EntityRuleSpec | null {
  if (networks !== undefined) return { nets: networks }
  if (domainNames !== undefined) return { domains: domainNames }
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
