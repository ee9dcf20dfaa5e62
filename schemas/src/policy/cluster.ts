import type { TierSpec } from '../resources/kinds/tier.ts'
import { completeResource, keyOf, kindOf } from '../resources/kinds.ts'
import type { Resource, ResourceKey } from '../resources/resource.ts'
import { createChangeFeed } from './change-feed.ts'
import { createEndpointStore } from './endpoint-store.ts'
import { policyId } from './flat-policy.ts'
import { flattenPolicy } from './flatten.ts'
import { createHostSettings } from './host-settings.ts'
import { endpointIdentity, networkSetIdentity, outsideIdentity } from './identities.ts'
import { canonicalAddress } from './ip.ts'
import { itemOf } from './item.ts'
import { isItemKind, isMeaningful, meaningOf } from './meaning.ts'
import type { Endpoint, GoverningTier, PolicyModel } from './model.ts'
import { createPolicyStore } from './policy-store.ts'
import { createProfileStore } from './profile-store.ts'
import { impliedProfile, profileOf } from './profiles.ts'
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
  /** The endpoint that a resource makes; null when it makes none, or is a Pod that a WorkloadEndpoint says more about. */
  endpointOf(key: ResourceKey): Endpoint | null
}

/** Takes back what a resource did. */
type Undo = () => void

interface Applied {
  /** What of the resource has a meaning here, so that other changes (a heartbeat in a status) change nothing. */
  readonly meaning: string
  readonly undo: Undo
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
  const feed = createChangeFeed({
    endpoints: () => [...endpoints.endpoints()].map(({ key }) => key),
    policies: () => policies.tiers().flatMap((tier) => tier.policies.map(({ id }) => id)),
    profiles: () => endpoints.profiles(),
    sets: () => sets.sets(),
  })
  const endpoints = createEndpointStore({
    index,
    imply: impliedProfiles ? impliedProfile : () => null,
    feed,
    workload: (key, namespace, item) => services.workload(key, namespace, item),
  })
  const hosts = createHostSettings()
  const nodeOf = (ip: string): string | null => {
    const node = hosts.nodeOf(canonicalAddress(ip))
    if (node !== null) return node
    const owner = endpoints.endpointByIp(ip)
    return owner?.kind === 'hep' ? owner.node : null
  }
  const services = createServiceDirectory({
    workloads: endpoints.workloads,
    isNodeAddress: (ip) => nodeOf(ip) !== null,
  })
  const sets = createSetRegistry(index, services, feed)
  const policies = createPolicyStore(index, sets, feed)
  const profiles = createProfileStore({ flat: endpoints.profile, sets, feed })
  const applied = new Map<ResourceKey, Applied>()
  let revision = 0

  function changed(): void {
    revision++
    const selections = index.takeDomainChanges()
    if (selections.length === 0) return
    policies.refreshDomains(selections)
    profiles.refreshDomains()
  }

  /** Takes what the resource means, and returns how to take it back; null when it means nothing. */
  function take(resource: Resource): Undo | null {
    const policy = flattenPolicy(resource)
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
      profiles.changed(flat.name)
      return () => {
        endpoints.removeProfile(flat.name)
        profiles.changed(flat.name)
      }
    }
    if (services.put(resource)) return () => services.remove(resource)
    if (!hosts.put(resource)) return null
    feed.settings()
    return () => {
      hosts.remove(resource)
      feed.settings()
    }
  }

  /** Endpoints and network sets, which are many, are held against what they were without any text. */
  function applyItem(key: ResourceKey, given: Resource): void {
    // A pod is read as it is; the others are few and may be completed.
    const item = itemOf(given.kind === 'Pod' ? given : completeResource(given))
    // A WorkloadEndpoint says more about a pod than the Pod itself. A pod that finished is no endpoint any more.
    const isChanged = item === null ? endpoints.remove(key) : endpoints.put(key, given.kind === 'Pod' ? 0 : 1, item)
    if (isChanged) changed()
  }

  return {
    get revision() {
      return revision
    },
    apply(given) {
      const kind = kindOf(given)
      if (kind === null || !isMeaningful(kind.kind)) return
      const key = keyOf(given)
      if (isItemKind(kind.kind)) {
        applyItem(key, given)
        return
      }
      const resource = kind.complete(given)
      const before = applied.get(key)
      const meaning = meaningOf(resource)
      if (before?.meaning === meaning) return
      const undo = take(resource)
      if (undo === null) return
      applied.set(key, { meaning, undo })
      changed()
    },
    remove(key) {
      const before = applied.get(key)
      if (before !== undefined) {
        applied.delete(key)
        before.undo()
        changed()
      } else if (endpoints.remove(key)) changed()
    },
    endpoints: endpoints.endpoints,
    endpoint: endpoints.endpoint,
    endpointOf: endpoints.endpointOf,
    endpointByIp: endpoints.endpointByIp,
    tiers: policies.tiers,
    profile: profiles.get,
    addressSet: sets.get,
    governing(endpoint, direction, stage = 'normal') {
      const indexed = endpoints.indexed(endpoint.key)
      return indexed === null ? ungoverned : policies.governing(indexed, direction, stage)
    },
    selected: (id) =>
      [...policies.selected(id)]
        .map(({ item }) => endpoints.endpoint(item.key))
        .filter((endpoint) => endpoint !== null),
    replaced: policies.replaced,
    failsafes: hosts.failsafes,
    nodeOf,
    hostEndpoints: endpoints.hostEndpoints,
    endpointToHostAction: hosts.endpointToHostAction,
    isTunnel: hosts.isTunnel,
    identify(ip, from, domains = []) {
      const endpoint = endpoints.endpointByIp(ip)
      if (endpoint !== null) return endpointIdentity(endpoint)
      const set = endpoints.networkSet(ip, from?.namespace ?? null, domains)
      return set === null ? outsideIdentity(ip) : networkSetIdentity(set)
    },
    service: (ip, port, protocol) => services.at(canonicalAddress(ip), port, protocol),
    follow: feed.follow,
  }
}

const ungoverned: readonly GoverningTier[] = []
