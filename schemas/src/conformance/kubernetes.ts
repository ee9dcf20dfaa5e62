import { clusterDirections, clusterRules, clusterSubject, clusterTier } from '../policy/cluster-policy.ts'
import {
  type ConvertedRule,
  kubernetesOrder,
  kubernetesRules,
  podSelector,
  policyTypes,
} from '../policy/kubernetes-policy.ts'
import type { Direction } from '../policy/model.ts'
import type { ClusterPolicySpec } from '../resources/kinds/cluster-network-policy.ts'
import type { KubernetesPolicySpec } from '../resources/kinds/kubernetes-network-policy.ts'
import { kindOf, validateResource } from '../resources/kinds.ts'
import { parsePath } from '../resources/path.ts'
import type { RuleSpec } from '../resources/policy-spec.ts'
import type { Resource } from '../resources/resource.ts'
import { type Given, objectOf, VectorError } from './request.ts'
import { resourceOf } from './resource.ts'

/** What a policy of Kubernetes becomes. */
export interface KubernetesAnswer {
  /** False when it becomes nothing at all. */
  readonly valid: boolean
  /** The Calico policy of the same meaning. */
  readonly policy: Resource | null
  /** What is wrong, and with which rule; the policy then lacks that rule, or denies all in its place. */
  readonly error: string | null
}

const namespaced = ['NetworkPolicy', 'StagedKubernetesNetworkPolicy']
const global = ['ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy']

/**
 * Answers `{networkPolicy}`: a NetworkPolicy of networking.k8s.io (staged or not), a ClusterNetworkPolicy, or one of its predecessors
 * AdminNetworkPolicy and BaselineAdminNetworkPolicy. Throws VectorError for anything else.
 */
export function answerKubernetes(given: Given): KubernetesAnswer {
  const resource = resourceOf(objectOf(given, 'networkPolicy'))
  const { kind } = resource
  const isCalico = kind === 'NetworkPolicy' && resource.apiVersion.startsWith('projectcalico.org/')
  if (kindOf(resource) === null || isCalico || ![...namespaced, ...global].includes(kind))
    throw new VectorError(`${resource.apiVersion} ${kind} is not a policy of Kubernetes`)
  const errors = validateResource(resource).filter(({ severity }) => severity === 'error')
  const said = errors.map(({ path, message }) => `${path}: ${message}`)
  const faults = errors.map(({ path }) => faultyRule(path))
  if (faults.includes(null)) return { valid: false, policy: null, error: said.join('; ') }
  const isFaulty = (direction: Direction, index: number) => faults.includes(`${direction} ${index}`)
  const policy = namespaced.includes(kind) ? ofNamespace(resource, isFaulty) : ofCluster(resource, isFaulty)
  return { valid: true, policy, error: said.length === 0 ? null : said.join('; ') }
}

/** The rule in which a problem lies, as `ingress 0`; null when it lies elsewhere. */
function faultyRule(path: string): string | null {
  const [spec, direction, index] = parsePath(path)
  return spec === 'spec' && (direction === 'ingress' || direction === 'egress') && typeof index === 'number'
    ? `${direction} ${index}`
    : null
}

type IsFaulty = (direction: Direction, index: number) => boolean

function ofNamespace({ kind, metadata, spec: given }: Resource, isFaulty: IsFaulty): Resource {
  const spec = (given ?? {}) as KubernetesPolicySpec
  const staged = kind === 'StagedKubernetesNetworkPolicy'
  const { name, namespace = 'default', ...rest } = metadata
  const head = {
    apiVersion: 'projectcalico.org/v3',
    kind: staged ? 'StagedNetworkPolicy' : 'NetworkPolicy',
    metadata: { ...rest, name: `knp.default.${name}`, namespace },
  }
  if (spec.stagedAction === 'Delete') return { ...head, spec: { tier: 'default', stagedAction: 'Delete' } }
  const readable = <R>(direction: Direction, rules: readonly R[] = []) =>
    rules.map((rule, index) => (isFaulty(direction, index) ? {} : rule))
  const rules = kubernetesRules({
    ingress: readable('ingress', spec.ingress),
    egress: readable('egress', spec.egress),
  })
  const kept = (direction: Direction) => rules[direction].filter(({ index }) => !isFaulty(direction, index))
  return {
    ...head,
    spec: {
      tier: 'default',
      order: kubernetesOrder,
      selector: podSelector(spec.podSelector),
      types: policyTypes(spec),
      ...present({ ingress: kept('ingress'), egress: kept('egress') }),
      ...(staged && { stagedAction: spec.stagedAction ?? 'Set' }),
    },
  }
}

function ofCluster(resource: Resource, isFaulty: IsFaulty): Resource {
  const spec = resource.spec as ClusterPolicySpec
  const tier = clusterTier(resource)
  const { name, namespace: _, ...rest } = resource.metadata
  // A peer that says nothing cannot be said in Calico's terms either, so a faulty rule goes the way of those.
  const readable = (direction: Direction) =>
    (spec[direction] ?? []).map((rule, index) =>
      isFaulty(direction, index) ? { action: rule.action, from: [{}], to: [{}] } : rule,
    )
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { ...rest, name: `kcnp.${tier}.${name}` },
    spec: {
      tier,
      ...(spec.priority !== undefined && { order: spec.priority }),
      ...clusterSubject(spec),
      types: clusterDirections(spec).map((direction) => (direction === 'ingress' ? 'Ingress' : 'Egress')),
      ...present(clusterRules({ ...spec, ingress: readable('ingress'), egress: readable('egress') })),
    },
  }
}

/** The rules of the directions that have any. */
function present(rules: Readonly<Record<Direction, readonly ConvertedRule[]>>): Partial<Record<Direction, RuleSpec[]>> {
  const given = (direction: Direction) =>
    rules[direction].length > 0 && { [direction]: rules[direction].map(({ rule }) => rule) }
  return { ...given('ingress'), ...given('egress') }
}
