import type { Resource } from '../resources/resource.ts'
import { flattenCalicoPolicy } from './calico-policy.ts'
import { flattenClusterPolicy } from './cluster-policy.ts'
import type { FlatPolicy } from './flat-policy.ts'
import { flattenKubernetesPolicy } from './kubernetes-policy.ts'

/** The flat form of a policy of any kind, or null when the resource is none. Throws SelectorError and PolicyError. */
export function flattenPolicy(resource: Resource): FlatPolicy | null {
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
