import type {
  KubernetesPeer,
  KubernetesPolicySpec,
  KubernetesPort,
  LabelSelectorSpec,
} from '../resources/kinds/kubernetes-network-policy.ts'
import type { EntityRuleSpec, RuleSpec } from '../resources/policy-spec.ts'
import { readPort } from '../resources/port.ts'
import type { Resource } from '../resources/resource.ts'
import { flattenRule, stagedAction } from './calico-policy.ts'
import type { FlatPolicy, FlatRule } from './flat-policy.ts'
import { orchestratorLabel, policySelector } from './flat-selector.ts'
import type { Direction } from './model.ts'

/** The order that every Kubernetes policy has in tier default. */
export const kubernetesOrder = 1000
const anyPod = `${orchestratorLabel} == 'k8s'`

/** A rule in Calico's terms, and the position of the rule that it comes from. */
export interface ConvertedRule {
  readonly index: number
  readonly rule: RuleSpec
}

/**
 * Flattens a Kubernetes NetworkPolicy, staged or not (spec 14, 10): every pair of a protocol and a peer becomes an Allow rule, which
 * keeps the position of the rule that the user wrote.
 */
export function flattenKubernetesPolicy(resource: Resource): FlatPolicy {
  const spec = (resource.spec ?? {}) as KubernetesPolicySpec
  const staged = resource.kind === 'StagedKubernetesNetworkPolicy'
  const namespace = resource.metadata.namespace ?? 'default'
  const action = staged ? stagedAction(spec.stagedAction) : null
  const flatten = (rules: readonly ConvertedRule[]): FlatRule[] =>
    rules.map(({ rule, index }) => flattenRule(rule, index, namespace))
  const { ingress, egress } = kubernetesRules(spec)
  return {
    ref: { kind: staged ? 'sknp' : 'knp', tier: 'default', namespace, name: resource.metadata.name },
    staged,
    stagedAction: action === 'none' ? null : action,
    order: kubernetesOrder,
    selector: policySelector({ selector: podSelector(spec.podSelector) }, namespace),
    directions:
      action === 'delete' || action === 'none' ? [] : policyTypes(spec).map((type) => type.toLowerCase() as Direction),
    rules: { ingress: flatten(ingress), egress: flatten(egress) },
    doNotTrack: false,
    preDnat: false,
    applyOnForward: false,
  }
}

/** The directions that a policy governs: as given, else ingress, and egress when it has rules for it. */
export function policyTypes({ policyTypes: given, egress = [] }: KubernetesPolicySpec): ('Ingress' | 'Egress')[] {
  return given ?? ['Ingress', ...(egress.length > 0 ? (['Egress'] as const) : [])]
}

/** The rules of a policy in Calico's terms. */
export function kubernetesRules({
  ingress = [],
  egress = [],
}: KubernetesPolicySpec): Record<Direction, ConvertedRule[]> {
  return {
    ingress: ingress.flatMap(({ from, ports }, index) =>
      rulesOf(from, ports, 'source').map((rule) => ({ index, rule })),
    ),
    egress: egress.flatMap(({ to, ports }, index) =>
      rulesOf(to, ports, 'destination').map((rule) => ({ index, rule })),
    ),
  }
}

function rulesOf(
  peers: readonly KubernetesPeer[] = [],
  ports: readonly KubernetesPort[] = [],
  side: 'source' | 'destination',
): RuleSpec[] {
  const entities: readonly EntityRuleSpec[] = peers.length === 0 ? [{}] : peers.map(entityOf)
  return portGroups(ports).flatMap(({ protocol, ports: list }) =>
    entities.map((entity): RuleSpec => {
      const destination = { ...(side === 'destination' ? entity : {}), ...(list.length > 0 && { ports: list }) }
      return {
        action: 'Allow',
        ...(protocol !== null && { protocol }),
        ...(side === 'source' && Object.keys(entity).length > 0 && { source: entity }),
        ...(Object.keys(destination).length > 0 && { destination }),
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
function portGroups(ports: readonly KubernetesPort[]): { protocol: string | null; ports: (string | number)[] }[] {
  if (ports.length === 0) return [{ protocol: null, ports: [] }]
  const groups = new Map<string, (string | number)[] | null>()
  for (const { protocol = 'TCP', port, endPort } of ports) {
    const had = groups.get(protocol)
    if (port === undefined || had === null) groups.set(protocol, null)
    else groups.set(protocol, [...(had ?? []), endPort === undefined ? port : `${port}:${endPort}`])
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([protocol, list]) => ({ protocol, ports: mergePorts(list ?? []) }))
}

/** The same ports in fewer words: names first, then numbers and ranges in order, those that touch or overlap as one. */
function mergePorts(ports: readonly (string | number)[]): (string | number)[] {
  const read = ports.map(readPort)
  const names = read.flatMap((port) => (port.kind === 'name' ? [port.name] : []))
  const ranges: { first: number; last: number }[] = []
  for (const port of read.filter((one) => one.kind === 'range').sort((a, b) => a.first - b.first)) {
    const before = ranges.at(-1)
    if (before !== undefined && port.first <= before.last + 1) before.last = Math.max(before.last, port.last)
    else ranges.push({ first: port.first, last: port.last })
  }
  return [...new Set(names), ...ranges.map(({ first, last }) => (first === last ? first : `${first}:${last}`))]
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
