import type { TierSpec } from '../resources/kinds/tier.ts'
import { completeResource, keyOf, kindOf } from '../resources/kinds.ts'
import type { Resource, ResourceKey } from '../resources/resource.ts'
import { flattenCalicoPolicy } from './calico-policy.ts'
import { createChangeFeed } from './change-feed.ts'
import { flattenClusterPolicy } from './cluster-policy.ts'
import { type Compiled, compileProfile, domainKey } from './compile.ts'
import { createEndpointStore } from './endpoint-store.ts'
import { type FlatPolicy, policyId } from './flat-policy.ts'
import { createHostSettings } from './host-settings.ts'
import { endpointIdentity, networkSetIdentity, outsideIdentity } from './identities.ts'
import { canonicalAddress } from './ip.ts'
import { itemOf } from './item.ts'
import { flattenKubernetesPolicy } from './kubernetes-policy.ts'
import type { GoverningTier, PolicyModel, Profile } from './model.ts'
import { createPolicyStore } from './policy-store.ts'
import { type FlatProfile, impliedProfile, profileOf } from './profiles.ts'
import { createSelectionIndex } from './selection-index.ts'
import { createServiceDirectory } from './services.ts'
import { createSetRegistry } from './set-registry.ts'

/** The policy model of a cluster, kept current by giving it every resource that comes, changes or goes. */
export interface Cluster extends PolicyModel {
  /**
   * Takes a new or changed resource; kinds without meaning for policy are ignored. Throws SelectorError or PolicyError when it cannot
   * be compiled, and then the model is as it was before.
   */
  apply(resource: Resource): void
  remove(key: ResourceKey): void
}

/** Takes back what a resource did. */
type Undo = () => void

interface Applied {
  /** What of the resource has a meaning here, so that other changes (a heartbeat in a status) change nothing. */
  readonly meaning: string
  readonly undo: Undo
}

interface CompiledProfile {
  readonly flat: FlatProfile
  readonly compiled: Compiled<Profile>
  readonly domains: string
}

/** How a cluster is made. */
export interface ClusterOptions {
  /**
   * Whether an endpoint has the profiles that Kubernetes always has (of its namespace and its service account, `projectcalico-default-allow`)
   * though no resource makes them; true when absent. Without, a profile that nobody gave contributes nothing.
   */
  readonly impliedProfiles?: boolean
}

/** Makes an empty cluster; resources come and go with `apply` and `remove`. */
export function createCluster({ impliedProfiles = true }: ClusterOptions = {}): Cluster {
  const index = createSelectionIndex()
  const feed = createChangeFeed(
    {
      endpoints: () => [...endpoints.endpoints()].map(({ key }) => key),
      policies: () => policies.tiers().flatMap((tier) => tier.policies.map(({ id }) => id)),
      profiles: () => endpoints.profiles(),
      sets: () => sets.sets(),
    },
    () => sets.settle(),
  )
  const endpoints = createEndpointStore(index, impliedProfiles ? impliedProfile : () => null, feed)
  const hosts = createHostSettings()
  const nodeOf = (ip: string): string | null => {
    const owner = endpoints.endpointByIp(ip)
    return hosts.nodeOf(canonicalAddress(ip)) ?? (owner?.kind === 'hep' ? owner.node : null)
  }
  const services = createServiceDirectory({
    workloads: endpoints.workloads,
    version: endpoints.version,
    isNodeAddress: (ip) => nodeOf(ip) !== null,
  })
  const sets = createSetRegistry(index, services, feed)
  const policies = createPolicyStore(index, sets, feed)
  const profiles = new Map<string, CompiledProfile>()
  const applied = new Map<ResourceKey, Applied>()
  const governing = new Map<string, readonly GoverningTier[]>()
  let revision = 0

  function changed(): void {
    if (endpoints.takeDomainChange()) {
      policies.refreshDomains()
      for (const [name, had] of profiles) {
        if (had.domains === domainKey(had.compiled)) continue
        profile(name)
        feed.profile(name)
      }
    }
    governing.clear()
    revision++
  }

  function profile(name: string): Profile | null {
    const flat = endpoints.profile(name)
    const had = profiles.get(name)
    if (had !== undefined && had.flat === flat && had.domains === domainKey(had.compiled)) return had.compiled.value
    profiles.delete(name)
    let value: Profile | null = null
    if (flat !== null) {
      const compiled = compileProfile(flat, sets)
      profiles.set(name, { flat, compiled, domains: domainKey(compiled) })
      value = compiled.value
    }
    for (const hold of had?.compiled.holds ?? []) hold.release()
    return value
  }

  /** Takes what the resource means, and returns how to take it back; null when it means nothing. */
  function take(key: ResourceKey, resource: Resource): Undo | null {
    const policy = flatPolicyOf(resource)
    if (policy !== null) {
      policies.put(policy)
      return () => policies.remove(policyId(policy.ref))
    }
    if (resource.kind === 'Tier') {
      const { order, defaultAction } = (resource.spec ?? {}) as TierSpec
      const { name } = resource.metadata
      policies.putTier({
        name,
        order: order ?? Number.POSITIVE_INFINITY,
        defaultAction: defaultAction === 'Pass' ? 'pass' : 'deny',
      })
      return () => policies.removeTier(name)
    }
    const flat = profileOf(resource)
    if (flat !== null) {
      endpoints.putProfile(flat)
      // At once, so that the sets of its rules are in use from now on.
      profile(flat.name)
      return () => {
        endpoints.removeProfile(flat.name)
        profile(flat.name)
      }
    }
    const item = itemOf(resource)
    if (item !== null) {
      // A WorkloadEndpoint says more about a pod than the Pod itself.
      endpoints.put(key, resource.kind === 'Pod' ? 0 : 1, item)
      return () => endpoints.remove(key)
    }
    if (services.put(resource)) return () => services.remove(resource)
    if (!hosts.put(resource)) return null
    feed.settings()
    return () => {
      hosts.remove(resource)
      feed.settings()
    }
  }

  return {
    get revision() {
      return revision
    },
    apply(given) {
      if (kindOf(given) === null) return
      const resource = completeResource(given)
      const key = keyOf(resource)
      const before = applied.get(key)
      const meaning = meaningOf(resource)
      if (before?.meaning === meaning) return
      const undo = take(key, resource)
      // A pod that finished is no endpoint any more; anything else is replaced in place.
      if (undo === null) before?.undo()
      if (undo !== null) applied.set(key, { meaning, undo })
      else applied.delete(key)
      if (undo !== null || before !== undefined) changed()
    },
    remove(key) {
      const before = applied.get(key)
      if (before === undefined) return
      applied.delete(key)
      before.undo()
      changed()
    },
    endpoints: endpoints.endpoints,
    endpoint: endpoints.endpoint,
    endpointByIp: endpoints.endpointByIp,
    tiers: policies.tiers,
    profile,
    addressSet: sets.get,
    governing(endpoint, direction, stage = 'normal') {
      const key = `${direction} ${stage} ${endpoint.key}`
      let found = governing.get(key)
      if (found === undefined) {
        const indexed = endpoints.indexed(endpoint.key)
        found = indexed === null ? [] : policies.governing(indexed, direction, stage)
        governing.set(key, found)
      }
      return found
    },
    selected: (id) =>
      [...policies.selected(id)]
        .map(({ item }) => endpoints.endpoint(item.key))
        .filter((endpoint) => endpoint !== null),
    replaced: policies.replaced,
    failsafes: hosts.failsafes,
    nodeOf,
    hostEndpoints: (node) =>
      [...endpoints.endpoints()]
        .filter((endpoint) => endpoint.kind === 'hep' && endpoint.node === node)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    endpointToHostAction: hosts.endpointToHostAction,
    identify(ip, from) {
      const endpoint = endpoints.endpointByIp(ip)
      if (endpoint !== null) return endpointIdentity(endpoint)
      const set = endpoints.networkSet(ip, from?.namespace ?? null)
      return set === null ? outsideIdentity(ip) : networkSetIdentity(set)
    },
    service: (ip, port, protocol) => services.at(canonicalAddress(ip), port, protocol),
    follow: feed.follow,
  }
}

/** The part of a resource that the model reads, as text that compares. */
function meaningOf(resource: Resource): string {
  const item = itemOf(resource)
  if (item !== null) return JSON.stringify(item)
  const { name, namespace, labels } = resource.metadata
  return JSON.stringify({ ...resource, metadata: { name, namespace, labels } })
}

function flatPolicyOf(resource: Resource): FlatPolicy | null {
  switch (resource.kind) {
    case 'NetworkPolicy':
      return resource.apiVersion.startsWith('networking.k8s.io/')
        ? flattenKubernetesPolicy(resource)
        : flattenCalicoPolicy(resource)
    case 'GlobalNetworkPolicy':
    case 'StagedNetworkPolicy':
    case 'StagedGlobalNetworkPolicy':
      return flattenCalicoPolicy(resource)
    case 'StagedKubernetesNetworkPolicy':
      return flattenKubernetesPolicy(resource)
    case 'ClusterNetworkPolicy':
    case 'AdminNetworkPolicy':
    case 'BaselineAdminNetworkPolicy':
      return flattenClusterPolicy(resource)
    default:
      return null
  }
}
