import type { Container, PodSpec } from './pod-template.ts'

/** Protocols of ports in manifests. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP'

/** A port on which a pod listens. */
export interface LabPort {
  readonly name: string | null
  readonly protocol: Protocol
  readonly port: number
}

/** Identity of a port within a pod. */
export const portKey = (port: Pick<LabPort, 'protocol' | 'port'>) => `${port.protocol}/${port.port}`

/** The ports that a pod declares, and those that its probes would call, in the order of the manifest. */
export function declaredPorts(spec: PodSpec): LabPort[] {
  const ports = new Map<string, LabPort>()
  const add = (port: LabPort) => {
    if (!ports.has(portKey(port))) ports.set(portKey(port), port)
  }
  for (const container of spec.containers ?? []) {
    for (const { name, containerPort, protocol } of container.ports ?? [])
      add({ name: name ?? null, protocol: (protocol ?? 'TCP') as Protocol, port: containerPort })
  }
  for (const container of spec.containers ?? [])
    for (const port of probedPorts(container)) add({ name: null, protocol: 'TCP', port })
  return [...ports.values()]
}

function probedPorts(container: Container): number[] {
  return [container.startupProbe, container.readinessProbe, container.livenessProbe]
    .map((probe) => probe?.httpGet?.port ?? probe?.tcpSocket?.port ?? probe?.grpc?.port)
    .map((port) => Number(port)) // a name refers to a declared port and is not a number
    .filter((port) => Number.isInteger(port) && port > 0 && port < 65_536)
}
