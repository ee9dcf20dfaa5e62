import type { Resource } from '../resources/resource.ts'

const itemKinds: ReadonlySet<string> = new Set([
  'Pod',
  'WorkloadEndpoint',
  'HostEndpoint',
  'NetworkSet',
  'GlobalNetworkSet',
])

const otherKinds: ReadonlySet<string> = new Set([
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'Tier',
  'Profile',
  'Namespace',
  'ServiceAccount',
  'Service',
  'Endpoints',
  'EndpointSlice',
  'Node',
  'FelixConfiguration',
])

/** True for kinds that make endpoints and network sets. */
export const isItemKind = (kind: string): boolean => itemKinds.has(kind)

/** True for kinds that mean something to policy; all others are left alone. */
export const isMeaningful = (kind: string): boolean => itemKinds.has(kind) || otherKinds.has(kind)

/** The part of a resource that policy reads, as text that compares: a heartbeat in the status of a node is none of it. */
export function meaningOf(resource: Resource): string {
  const { apiVersion, kind, metadata } = resource
  return JSON.stringify([apiVersion, kind, metadata.name, metadata.namespace, ...read(resource)])
}

function read({ apiVersion: _, kind, metadata: { labels }, spec, status, ...rest }: Resource): readonly unknown[] {
  switch (kind) {
    case 'Namespace':
    case 'ServiceAccount':
      return [labels]
    case 'Node':
      return [(status as { addresses?: unknown } | undefined)?.addresses]
    case 'Service':
      return [spec, status]
    case 'Endpoints':
    case 'EndpointSlice':
      return [labels, rest]
    default:
      return [spec]
  }
}
