import { builtInTiers, type Resource } from '@margay/schemas'

/** The tiers that every cluster has (spec 5.1), as resources. They are created at the first start and cannot be deleted. */
export const builtInResources: readonly Resource[] = builtInTiers.map(({ name, order, defaultAction }) => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'Tier',
  metadata: { name },
  spec: { order, defaultAction },
}))

/** Namespaces that Kubernetes refuses to delete. */
export const builtInNamespaces: readonly string[] = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
