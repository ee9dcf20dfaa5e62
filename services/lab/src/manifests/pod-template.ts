import type { Resource } from '@margay/schemas'
import { suffixOf } from './name.ts'

/** The parts of a container that the lab reads. */
export interface Container {
  readonly name?: string
  readonly image?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[]
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly startupProbe?: Probe
}

interface Probe {
  readonly httpGet?: { readonly port: number | string }
  readonly tcpSocket?: { readonly port: number | string }
  readonly grpc?: { readonly port: number | string }
}

/** The parts of a pod's spec that the lab reads. */
export interface PodSpec {
  readonly containers?: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly nodeName?: string
  readonly hostNetwork?: boolean
  readonly hostname?: string
  readonly subdomain?: string
  readonly serviceAccountName?: string
}

/** A pod that a workload asks for, before it has a node and an address. */
export interface PodTemplate {
  readonly namespace: string
  readonly name: string
  readonly generateName: string | null
  /** What made it; a bare pod names itself. */
  readonly workload: { readonly kind: string; readonly name: string }
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: PodSpec
  /** Runs on this node whatever the round robin says (DaemonSet). */
  readonly node: string | null
}

/** Kinds that the lab turns into pods. */
export const workloadKinds: ReadonlySet<string> = new Set([
  'Pod',
  'Deployment',
  'ReplicaSet',
  'ReplicationController',
  'StatefulSet',
  'DaemonSet',
  'Job',
])

interface Spec {
  readonly replicas?: number
  readonly parallelism?: number
  readonly serviceName?: string
  readonly template?: {
    readonly metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
    readonly spec?: PodSpec
  }
}

/** The pods of a workload, named and labelled as Kubernetes' controllers would. `nodes` are the names of all nodes. */
export function podTemplates(workload: Resource, nodes: readonly string[]): PodTemplate[] {
  const { kind } = workload
  const { name, annotations = {} } = workload.metadata
  const namespace = workload.metadata.namespace ?? 'default'
  const spec = (workload.spec ?? {}) as Spec
  const path = `${namespace}/${kind}/${name}`
  const podSpec = (kind === 'Pod' ? workload.spec : spec.template?.spec) as PodSpec | undefined
  const make = (
    pod: string,
    generateName: string | null,
    labels: Record<string, string>,
    more: Partial<PodTemplate>,
  ) => ({
    namespace,
    name: pod,
    generateName,
    workload: { kind, name },
    labels: { ...(kind === 'Pod' ? workload.metadata.labels : spec.template?.metadata?.labels), ...labels },
    annotations: { ...annotations, ...spec.template?.metadata?.annotations },
    spec: podSpec ?? {},
    node: null,
    ...more,
  })
  const several = (count: number, prefix: string, labels: Record<string, string>) =>
    Array.from({ length: count }, (_, i) => make(`${prefix}${suffixOf(`${path}/${i}`, 5)}`, prefix, labels, {}))

  switch (kind) {
    case 'Pod':
      return [make(name, null, {}, {})]
    case 'Deployment': {
      const hash = suffixOf(path, 10)
      return several(spec.replicas ?? 1, `${name}-${hash}-`, { 'pod-template-hash': hash })
    }
    case 'ReplicaSet':
    case 'ReplicationController':
      return several(spec.replicas ?? 1, `${name}-`, {})
    case 'Job':
      return several(spec.parallelism ?? 1, `${name}-`, { 'batch.kubernetes.io/job-name': name, 'job-name': name })
    case 'StatefulSet':
      return Array.from({ length: spec.replicas ?? 1 }, (_, i) => {
        const pod = `${name}-${i}`
        const labels = {
          'apps.kubernetes.io/pod-index': String(i),
          'controller-revision-hash': `${name}-${suffixOf(path, 10)}`,
          'statefulset.kubernetes.io/pod-name': pod,
        }
        const subdomain = spec.serviceName === undefined ? {} : { subdomain: spec.serviceName }
        return make(pod, `${name}-`, labels, { spec: { ...podSpec, hostname: pod, ...subdomain } })
      })
    case 'DaemonSet':
      return nodes.map((node) => {
        const labels = { 'controller-revision-hash': suffixOf(path, 10), 'pod-template-generation': '1' }
        return make(`${name}-${suffixOf(`${path}/${node}`, 5)}`, `${name}-`, labels, { node })
      })
    default:
      return []
  }
}
