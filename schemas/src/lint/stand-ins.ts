import type { HostEndpointSpec, PodSpec } from '../resources/kinds/endpoint.ts'
import type { Resource } from '../resources/resource.ts'

/**
 * The endpoints that resources would make once they run: a pod for each workload, a host endpoint for each node. Manifests in a repository
 * hold Deployments and no Pods, and policy is about pods.
 */
const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob']

interface Template {
  readonly metadata?: { readonly labels?: Record<string, string> }
  readonly spec?: PodSpec
}

/** One pod for each workload of which no pod is there. */
export function podsOf(resources: readonly Resource[], present: readonly Resource[]): Resource[] {
  return resources.flatMap((resource): Resource[] => {
    const template = workloadKinds.includes(resource.kind) ? templateOf(resource) : null
    if (template === null) return []
    const { name, namespace = 'default' } = resource.metadata
    const labels = template.metadata?.labels ?? {}
    const runs = present.some(
      ({ metadata }) =>
        (metadata.namespace ?? 'default') === namespace &&
        Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value),
    )
    if (runs) return []
    return [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, generateName: `${name}-`, labels },
        spec: { ...template.spec, nodeName: 'unknown' },
      },
    ]
  })
}

function templateOf({ kind, spec }: Resource): Template | null {
  const given = (spec ?? {}) as { template?: Template; jobTemplate?: { spec?: { template?: Template } } }
  return (kind === 'CronJob' ? given.jobTemplate?.spec?.template : given.template) ?? null
}

/** What every node is labelled with, where no node is given. */
const usualNode: Resource = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: 'node',
    labels: {
      'kubernetes.io/hostname': 'node',
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': 'amd64',
      'beta.kubernetes.io/os': 'linux',
      'beta.kubernetes.io/arch': 'amd64',
    },
  },
}

/** One host endpoint for each node (or a usual one) where automatic host endpoints are turned on and none is there. */
export function automaticHosts(resources: readonly Resource[], present: readonly Resource[]): Resource[] {
  if (present.some(({ kind }) => kind === 'HostEndpoint') || !resources.some(createsHosts)) return []
  const nodes = resources.filter(({ kind }) => kind === 'Node')
  return (nodes.length === 0 ? [usualNode] : nodes).map(({ metadata }) => {
    const spec: HostEndpointSpec = {
      node: metadata.name,
      interfaceName: '*',
      profiles: ['projectcalico-default-allow'],
    }
    const labels = { ...metadata.labels, 'projectcalico.org/created-by': 'calico-kube-controllers' }
    return {
      apiVersion: 'projectcalico.org/v3',
      kind: 'HostEndpoint',
      metadata: { name: `${metadata.name}-auto-hep`, labels },
      spec,
    }
  })
}

function createsHosts({ kind, spec }: Resource): boolean {
  if (kind !== 'KubeControllersConfiguration') return false
  const { controllers } = (spec ?? {}) as {
    controllers?: { node?: { hostEndpoint?: { autoCreate?: string } } }
  }
  return controllers?.node?.hostEndpoint?.autoCreate === 'Enabled'
}
