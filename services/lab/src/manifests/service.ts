import type { Resource } from '@margay/schemas'
import { clusterIpSlots, freeClusterIp, loadBalancerIp } from './addresses.ts'
import { slotOf } from './name.ts'
import type { LabPod } from './plan.ts'
import type { Protocol } from './port.ts'

/** A port of a service. */
export interface ServicePort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  readonly targetPort: number | string
  readonly nodePort: number | null
}

/** A pod behind a service, with the port on which it serves each port of the service (null when it has no port of that name). */
export interface ServiceEndpoint {
  readonly pod: LabPod
  readonly ports: readonly (number | null)[]
}

/** A service and the pods behind it. */
export interface LabService {
  readonly namespace: string
  readonly name: string
  readonly type: string
  /** Null for a headless service. */
  readonly clusterIp: string | null
  readonly loadBalancerIp: string | null
  readonly ports: readonly ServicePort[]
  readonly endpoints: readonly ServiceEndpoint[]
  readonly resource: Resource
}

interface Spec {
  readonly type?: string
  readonly clusterIP?: string
  readonly selector?: Readonly<Record<string, string>>
  readonly ports?: readonly {
    name?: string
    protocol?: string
    port: number
    targetPort?: number | string
    nodePort?: number
  }[]
}

const nodePorts = { first: 30_000, count: 2768 } as const

/** What a service selects. Null when it selects nothing: its endpoints are not the lab's to make. */
export function selectorOf(service: Resource): Readonly<Record<string, string>> | null {
  const { selector } = (service.spec ?? {}) as Spec
  return selector === undefined || Object.keys(selector).length === 0 ? null : selector
}

/** True when labels hold every pair of an equality selector. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

/** Ports of a service with their defaults; node ports are filled in by `planServices`. */
export function portsOf(service: Resource): (Omit<ServicePort, 'nodePort'> & { nodePort: number | null })[] {
  return (((service.spec ?? {}) as Spec).ports ?? []).map((port) => ({
    name: port.name ?? '',
    protocol: (port.protocol ?? 'TCP') as Protocol,
    port: port.port,
    targetPort: port.targetPort ?? port.port,
    nodePort: port.nodePort ?? null,
  }))
}

/** Gives every service its addresses, node ports and endpoints. The same services get the same ones, whatever their order. */
export function planServices(resources: readonly Resource[], pods: readonly LabPod[]): LabService[] {
  const specs = resources.map((resource) => (resource.spec ?? {}) as Spec)
  const takenIps = new Set(specs.map(({ clusterIP }) => clusterIP).filter((ip) => ip !== undefined))
  const takenPorts = new Set(specs.flatMap(({ ports }) => ports ?? []).flatMap(({ nodePort }) => nodePort ?? []))
  let balancers = 0
  const plan = new Map<Resource, LabService>()
  const sorted = [...resources].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1))
  for (const resource of sorted) {
    const spec = (resource.spec ?? {}) as Spec
    const { name } = resource.metadata
    const namespace = resource.metadata.namespace ?? 'default'
    const type = spec.type ?? 'ClusterIP'
    const isOutside = type === 'NodePort' || type === 'LoadBalancer'
    let clusterIp = spec.clusterIP === 'None' ? null : (spec.clusterIP ?? '')
    if (clusterIp === '') {
      clusterIp = freeClusterIp(slotOf(pathOf(resource), clusterIpSlots), takenIps)
      takenIps.add(clusterIp)
    }
    const ports = portsOf(resource).map((port) => {
      if (!isOutside || port.nodePort !== null) return port
      let slot = slotOf(`${pathOf(resource)}:${port.port}`, nodePorts.count)
      while (takenPorts.has(nodePorts.first + slot)) slot = (slot + 1) % nodePorts.count
      takenPorts.add(nodePorts.first + slot)
      return { ...port, nodePort: nodePorts.first + slot }
    })
    const selector = selectorOf(resource)
    const behind = pods.filter(
      (pod) => selector !== null && pod.namespace === namespace && selects(selector, pod.labels),
    )
    plan.set(resource, {
      namespace,
      name,
      type,
      clusterIp,
      loadBalancerIp: type === 'LoadBalancer' ? loadBalancerIp(balancers++) : null,
      ports,
      endpoints: behind.map((pod) => ({ pod, ports: ports.map((port) => targetOf(port, pod)) })),
      resource,
    })
  }
  return resources.map((resource) => plan.get(resource) as LabService)
}

function targetOf(port: ServicePort, pod: LabPod): number | null {
  if (typeof port.targetPort === 'number') return port.targetPort
  const named = pod.ports.find(({ name, protocol }) => name === port.targetPort && protocol === port.protocol)
  return named?.port ?? null
}

const pathOf = (service: Resource) => `${service.metadata.namespace ?? 'default'}/${service.metadata.name}`
