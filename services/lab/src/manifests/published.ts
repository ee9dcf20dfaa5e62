import type { Metadata, Resource } from '@margay/schemas'
import { suffixOf } from './name.ts'
import type { LabNode, LabPlan, LabPod } from './plan.ts'
import type { LabService, ServiceEndpoint } from './service.ts'

/** Annotation of every resource that the lab made, with the lab's id: how it finds them again. */
export const labAnnotation = 'margay.dev/lab'

/**
 * The resources that a cluster of this shape would have: namespaces, service accounts, nodes, pods, services, endpoint slices,
 * and those of the manifests that are published as they are, in an order in which each finds what it refers to.
 */
export function publishedResources(plan: LabPlan): Resource[] {
  const own = [
    ...namespaces(plan),
    ...plan.nodes.map(nodeResource),
    ...serviceAccounts(plan),
    ...plan.pods.map((pod) => podResource(pod, plan)),
    ...plan.services.map(serviceResource),
    ...plan.services.flatMap(endpointSlices),
  ]
  const rest = plan.others.filter(({ kind }) => kind !== 'Namespace' && kind !== 'ServiceAccount')
  return [...own, ...rest].map((resource) => marked(resource, plan.id))
}

const present = (...texts: readonly (string | null)[]) => texts.filter((text) => text !== null)

/** The resource with the lab's annotation. */
export function marked(resource: Resource, id: string): Resource {
  const annotations = { ...resource.metadata.annotations, [labAnnotation]: id }
  return { ...resource, metadata: { ...resource.metadata, annotations } }
}

function namespaces(plan: LabPlan): Resource[] {
  const given = new Map(plan.others.filter(({ kind }) => kind === 'Namespace').map((n) => [n.metadata.name, n]))
  const names = new Set(['default', 'kube-system', ...given.keys()])
  for (const { namespace } of [...plan.pods, ...plan.services]) names.add(namespace)
  for (const { metadata } of plan.others) if (metadata.namespace !== undefined) names.add(metadata.namespace)
  return [...names].map((name) => {
    const resource = given.get(name)
    const labels = { 'kubernetes.io/metadata.name': name, ...resource?.metadata.labels }
    return { apiVersion: 'v1', kind: 'Namespace', ...resource, metadata: { ...resource?.metadata, name, labels } }
  })
}

function serviceAccounts(plan: LabPlan): Resource[] {
  const accounts = new Map<string, Resource>()
  const add = (resource: Resource) => {
    const key = `${resource.metadata.namespace ?? 'default'}/${resource.metadata.name}`
    if (!accounts.has(key)) accounts.set(key, resource)
  }
  for (const resource of plan.others) if (resource.kind === 'ServiceAccount') add(resource)
  for (const { namespace, serviceAccount } of plan.pods) {
    for (const name of ['default', serviceAccount])
      add({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } })
  }
  return [...accounts.values()]
}

function nodeResource(node: LabNode): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels: { ...node.labels } },
    spec: { podCIDR: node.podCidr, podCIDRs: present(node.podCidr, node.podCidr6) },
    status: {
      addresses: [
        ...present(node.ip, node.ip6).map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: node.name },
      ],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }
}

function podResource(pod: LabPod, plan: LabPlan): Resource {
  const containers = (pod.spec.containers ?? []).map(({ name, image, ports }) => ({
    name: name ?? 'main',
    ...(image === undefined ? {} : { image }),
    ...(ports === undefined ? {} : { ports }),
  }))
  const metadata: Metadata = {
    name: pod.name,
    namespace: pod.namespace,
    labels: { ...pod.labels },
    annotations: { ...pod.annotations },
    ...(pod.generateName === null ? {} : { generateName: pod.generateName }),
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      nodeName: pod.node,
      serviceAccountName: pod.serviceAccount,
      containers,
      ...(pod.hostNetwork ? { hostNetwork: true } : {}),
    },
    status: {
      phase: 'Running',
      podIP: pod.ip,
      podIPs: present(pod.ip, pod.ip6).map((ip) => ({ ip })),
      hostIP: plan.nodes.find(({ name }) => name === pod.node)?.ip,
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }
}

function serviceResource(service: LabService): Resource {
  const { resource, clusterIp } = service
  const ports = service.ports.map((port) => ({
    ...(port.name === '' ? {} : { name: port.name }),
    protocol: port.protocol,
    port: port.port,
    targetPort: port.targetPort,
    ...(port.nodePort === null ? {} : { nodePort: port.nodePort }),
  }))
  return {
    ...resource,
    metadata: { ...resource.metadata, namespace: service.namespace },
    spec: {
      ...(resource.spec as object),
      type: service.type,
      clusterIP: clusterIp ?? 'None',
      clusterIPs: [clusterIp ?? 'None'],
      ports,
    },
    ...(service.loadBalancerIp === null
      ? {}
      : { status: { loadBalancer: { ingress: [{ ip: service.loadBalancerIp }] } } }),
  }
}

/** One slice for each list of target ports: pods may serve a named port on different numbers. */
function endpointSlices(service: LabService): Resource[] {
  const groups = new Map<string, ServiceEndpoint[]>()
  for (const endpoint of service.endpoints) {
    const key = endpoint.ports.join()
    groups.set(key, [...(groups.get(key) ?? []), endpoint])
  }
  if (groups.size === 0) groups.set('', [])
  return [...groups].map(([key, endpoints]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service.name}-${suffixOf(`${service.namespace}/${service.name}/${key}`, 5)}`,
      namespace: service.namespace,
      labels: { ...service.resource.metadata.labels, 'kubernetes.io/service-name': service.name },
    },
    addressType: 'IPv4',
    ports: service.ports.flatMap((port, i) => {
      const target = endpoints[0]?.ports[i]
      return target == null ? [] : [{ name: port.name, protocol: port.protocol, port: target }]
    }),
    endpoints: endpoints.map(({ pod }) => ({
      addresses: [pod.ip],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: pod.node,
      targetRef: { kind: 'Pod', namespace: pod.namespace, name: pod.name },
    })),
  }))
}
