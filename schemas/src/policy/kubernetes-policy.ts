import type {
  KubernetesPeer,
  KubernetesPolicySpec,
  KubernetesPort,
  LabelSelectorSpec,
} from '../resources/kinds/kubernetes-network-policy.ts'
import type { EntityRuleSpec, RuleSpec } from '../resources/policy-spec.ts'
import type { Resource } from '../resources/resource.ts'
import { flattenRule, stagedAction } from './calico-policy.ts'
import type { FlatPolicy, FlatRule } from './flat-policy.ts'
import { orchestratorLabel, policySelector } from './flat-selector.ts'
import type { Direction } from './model.ts'

/** The order that every Kubernetes policy has in tier default. */
const kubernetesOrder = 1000
const anyPod = `${orchestratorLabel} == 'k8s'`

/**
 * Flattens a Kubernetes NetworkPolicy, staged or not (spec 14, 10): every pair of a peer and a protocol becomes an Allow rule, which
 * keeps the position of the rule that the user wrote.
 */
export function flattenKubernetesPolicy(resource: Resource): FlatPolicy {
  const spec = (resource.spec ?? {}) as KubernetesPolicySpec
  const staged = resource.kind === 'StagedKubernetesNetworkPolicy'
  const namespace = resource.metadata.namespace ?? 'default'
  const action = staged ? stagedAction(spec.stagedAction) : null
  const types = spec.policyTypes ?? ['Ingress', ...((spec.egress ?? []).length > 0 ? (['Egress'] as const) : [])]
  const expand = (
    peers: readonly KubernetesPeer[] | undefined,
    ports: readonly KubernetesPort[] | undefined,
    index: number,
    side: 'source' | 'destination',
  ) => rulesOf(peers, ports, side).map((rule) => flattenRule(rule, index, namespace))
  return {
    ref: { kind: staged ? 'sknp' : 'knp', tier: 'default', namespace, name: resource.metadata.name },
    staged,
    stagedAction: action === 'none' ? null : action,
    order: kubernetesOrder,
    selector: policySelector({ selector: podSelector(spec.podSelector) }, namespace),
    directions: action === 'delete' || action === 'none' ? [] : types.map((type) => type.toLowerCase() as Direction),
    rules: {
      ingress: (spec.ingress ?? []).flatMap(({ from, ports }, index): FlatRule[] =>
        expand(from, ports, index, 'source'),
      ),
      egress: (spec.egress ?? []).flatMap(({ to, ports }, index): FlatRule[] =>
        expand(to, ports, index, 'destination'),
      ),
    },
    doNotTrack: false,
    preDnat: false,
    applyOnForward: false,
  }
}

function rulesOf(
  peers: readonly KubernetesPeer[] | undefined,
  ports: readonly KubernetesPort[] | undefined,
  side: 'source' | 'destination',
): RuleSpec[] {
  const entities: readonly EntityRuleSpec[] = peers === undefined || peers.length === 0 ? [{}] : peers.map(entityOf)
  const groups = portGroups(ports)
  return entities.flatMap((entity) =>
    groups.map(({ protocol, ports: list }): RuleSpec => {
      const destination = { ...(side === 'destination' ? entity : {}), ...(list.length > 0 && { ports: list }) }
      return {
        action: 'Allow',
        ...(protocol !== null && { protocol }),
        ...(side === 'source' && { source: entity }),
        destination,
      }
    }),
  )
}

function entityOf({ podSelector: pods, namespaceSelector, ipBlock }: KubernetesPeer): EntityRuleSpec {
  if (ipBlock !== undefined) return { nets: [ipBlock.cidr], ...(ipBlock.except && { notNets: ipBlock.except }) }
  return {
    selector: podSelector(pods),
    ...(namespaceSelector !== undefined && { namespaceSelector: labelSelectorText(namespaceSelector) || 'all()' }),
  }
}

/** Ports of a rule by protocol; an entry without a port opens its protocol as a whole, no entries every protocol. */
function portGroups(
  ports: readonly KubernetesPort[] | undefined,
): { protocol: string | null; ports: (string | number)[] }[] {
  if (ports === undefined || ports.length === 0) return [{ protocol: null, ports: [] }]
  const groups = new Map<string, (string | number)[] | null>()
  for (const { protocol = 'TCP', port, endPort } of ports) {
    const had = groups.get(protocol)
    if (port === undefined || had === null) groups.set(protocol, null)
    else groups.set(protocol, [...(had ?? []), endPort === undefined ? port : `${port}:${endPort}`])
  }
  return [...groups].map(([protocol, list]) => ({ protocol, ports: list ?? [] }))
}

/** A selector of pods of a Kubernetes policy: workloads of Kubernetes only. */
export function podSelector(selector: LabelSelectorSpec | undefined): string {
  const text = labelSelectorText(selector ?? {})
  return text === '' ? anyPod : `${anyPod} && ${text}`
}

/** A Kubernetes label selector in the selector language; empty text when it selects everything. */
export function labelSelectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelectorSpec): string {
  const labels = Object.entries(matchLabels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key} == '${value}'`)
  const expressions = matchExpressions.map(expressionText)
  return [...labels, ...expressions].join(' && ')
}

function expressionText({
  key,
  operator,
  values = [],
}: NonNullable<LabelSelectorSpec['matchExpressions']>[number]): string {
  const set = `{${values.map((value) => `'${value}'`).join(', ')}}`
  switch (operator) {
    case 'In':
      return `${key} in ${set}`
    case 'NotIn':
      return `${key} not in ${set}`
    case 'Exists':
      return `has(${key})`
    case 'DoesNotExist':
      return `! has(${key})`
  }
}
