import * as alert from './kinds/alert.ts'
import * as clusterPolicy from './kinds/cluster-network-policy.ts'
import * as endpoint from './kinds/endpoint.ts'
import { felixConfiguration } from './kinds/felix-configuration.ts'
import { kubernetesNetworkPolicy, stagedKubernetesNetworkPolicy } from './kinds/kubernetes-network-policy.ts'
import * as kubernetes from './kinds/kubernetes-objects.ts'
import * as policy from './kinds/network-policy.ts'
import * as networkSets from './kinds/network-set.ts'
import * as operations from './kinds/operations.ts'
import { packetCapture } from './kinds/packet-capture.ts'
import * as rbac from './kinds/rbac.ts'
import { globalReport, globalReportType } from './kinds/report.ts'
import { globalThreatFeed } from './kinds/threat-feed.ts'
import { tier } from './kinds/tier.ts'
import type { Kind, Problem, Resource, ResourceKey } from './resource.ts'
import { closest } from './spelling.ts'

/** Every kind that Margay knows. Where two share a name, the first is meant when no group is given. */
export const kinds: readonly Kind[] = [
  tier,
  policy.networkPolicy,
  policy.globalNetworkPolicy,
  policy.stagedNetworkPolicy,
  policy.stagedGlobalNetworkPolicy,
  stagedKubernetesNetworkPolicy,
  networkSets.networkSet,
  networkSets.globalNetworkSet,
  endpoint.hostEndpoint,
  endpoint.workloadEndpoint,
  endpoint.profile,
  alert.globalAlert,
  alert.globalAlertTemplate,
  alert.alertException,
  alert.securityEventWebhook,
  globalThreatFeed,
  globalReport,
  globalReportType,
  packetCapture,
  felixConfiguration,
  operations.deepPacketInspection,
  operations.policyRecommendationScope,
  operations.kubeControllersConfiguration,
  operations.uiSettingsGroup,
  operations.uiSettings,
  operations.managedCluster,
  operations.authorizationReview,
  operations.authenticationReview,
  kubernetes.namespace,
  kubernetes.node,
  endpoint.pod,
  endpoint.service,
  kubernetes.serviceAccount,
  kubernetes.endpoints,
  kubernetes.endpointSlice,
  kubernetes.configMap,
  kubernetes.secret,
  kubernetes.deployment,
  kubernetes.replicaSet,
  kubernetes.statefulSet,
  kubernetes.daemonSet,
  kubernetes.job,
  kubernetes.cronJob,
  kubernetesNetworkPolicy,
  clusterPolicy.clusterNetworkPolicy,
  clusterPolicy.adminNetworkPolicy,
  clusterPolicy.baselineAdminNetworkPolicy,
  rbac.clusterRole,
  rbac.role,
  rbac.clusterRoleBinding,
  rbac.roleBinding,
]

/** The group of an apiVersion; `core` for `v1`. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? 'core' : apiVersion.slice(0, slash)
}

const groupOfKind = (kind: Kind) => groupOf(kind.apiVersions[0] as string)

const byApiVersion = new Map(
  kinds.flatMap((kind) => kind.apiVersions.map((version) => [`${version} ${kind.kind}`, kind])),
)
const byName = new Map<string, Kind>()
for (const kind of kinds) {
  const group = groupOfKind(kind)
  const names = [kind.plural, kind.kind.toLowerCase(), ...kind.shortNames]
  const suffixes = ['', `.${group}`, ...(group === 'projectcalico.org' ? ['.p'] : [])]
  for (const name of names) {
    for (const suffix of suffixes) if (!byName.has(name + suffix)) byName.set(name + suffix, kind)
  }
}

/** Finds a kind by its kind, plural or short name in any case, with or without its group: `gnp`, `networkpolicies.networking.k8s.io`, `tiers.p`. */
export function findKind(name: string): Kind | null {
  return byName.get(name.toLowerCase()) ?? null
}

/** The kind of a resource, by its apiVersion and kind. */
export function kindOf(resource: Pick<Resource, 'apiVersion' | 'kind'>): Kind | null {
  return byApiVersion.get(`${resource.apiVersion} ${resource.kind}`) ?? null
}

/** Identity of a resource in the cluster; a namespaced one without a namespace lives in `default`. */
export function keyOf(resource: Resource): ResourceKey {
  const kind = kindOf(resource)
  const plural = kind?.plural ?? `${resource.kind.toLowerCase()}s`
  const group = groupOf(kind?.apiVersions[0] ?? resource.apiVersion)
  const given = resource.metadata.namespace
  const namespace = kind === null ? given || '-' : kind.namespaced ? given || 'default' : '-'
  return `${plural}.${group}/${namespace}/${resource.metadata.name}`
}

/** Checks a resource by all the rules of its kind; an unknown kind is a warning. Never throws. */
export function validateResource(resource: Resource): Problem[] {
  const kind = kindOf(resource)
  return kind === null ? [unknownKind(resource)] : kind.validate(resource)
}

/** A copy with defaults filled in; a resource of unknown kind is copied as it is. */
export function completeResource(resource: Resource): Resource {
  return kindOf(resource)?.complete(resource) ?? structuredClone(resource)
}

/** The warning about a resource of a kind that Margay does not know. */
export function unknownKind({ apiVersion, kind }: Pick<Resource, 'apiVersion' | 'kind'>): Problem {
  const siblings = kinds.filter((other) => groupOfKind(other) === groupOf(apiVersion)).map((other) => other.kind)
  const near = findKind(kind) ?? findKind(closest(kind, siblings) ?? '')
  const hint = near === null ? '' : ` (did you mean ${near.apiVersions[0]} ${near.kind}?)`
  return {
    severity: 'warning',
    path: 'kind',
    rule: 'unknown-kind',
    message: `unknown kind ${apiVersion} ${kind}, ignored${hint}`,
  }
}
