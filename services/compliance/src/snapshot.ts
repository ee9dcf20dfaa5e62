import { keyOf, kindOf, type Resource, type SnapshotEvent } from '@margay/schemas'

/** Plurals that a snapshot keeps (spec 3.1): with them and the audit log any later state can be told. */
const snapshotPlurals: readonly string[] = [
  'networkpolicies.networking.k8s.io',
  'nodes.core',
  'namespaces.core',
  'pods.core',
  'serviceaccounts.core',
  'endpoints.core',
  'endpointslices.discovery.k8s.io',
  'services.core',
  'globalnetworkpolicies.projectcalico.org',
  'networkpolicies.projectcalico.org',
  'stagedglobalnetworkpolicies.projectcalico.org',
  'stagednetworkpolicies.projectcalico.org',
  'stagedkubernetesnetworkpolicies.projectcalico.org',
  'tiers.projectcalico.org',
  'hostendpoints.projectcalico.org',
  'globalnetworksets.projectcalico.org',
  'networksets.projectcalico.org',
]

const dayMs = 86_400_000

/** The newest time at or before `now` at which a daily snapshot was due, unix ms. */
export function dueSnapshot(hour: number, now: number): number {
  const today = Math.floor(now / dayMs) * dayMs + hour * 3_600_000
  return today <= now ? today : today - dayMs
}

/** The events of one snapshot: an event for each object, all with the same id and time. */
export function snapshotEvents(
  resources: readonly Resource[],
  snapshot: { readonly id: string; readonly time: number; readonly cluster: string; readonly host: string },
): SnapshotEvent[] {
  const { id, time, cluster, host } = snapshot
  return resources.flatMap((resource) => {
    if (kindOf(resource) === null) return []
    const [plural] = keyOf(resource).split('/') as [string]
    if (!snapshotPlurals.includes(plural)) return []
    const { name, namespace = '', uid = '', resourceVersion = '' } = resource.metadata
    return {
      cluster,
      host,
      snapshot_id: id,
      time,
      kind: resource.kind,
      plural,
      api_version: resource.apiVersion,
      namespace,
      name,
      uid,
      resource_version: resourceVersion,
      object: resource,
    }
  })
}
