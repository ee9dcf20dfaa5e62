import { type Cluster, createCluster } from '../../src/policy/cluster.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Packet } from '../../src/policy/model.ts'
import { formatTrace } from '../../src/policy/trace.ts'
import type { Resource } from '../../src/resources/resource.ts'

type Given = Record<string, unknown>

const calico = 'projectcalico.org/v3'
const make = (apiVersion: string, kind: string, name: string, rest: Given, metadata: Given = {}): Resource => ({
  apiVersion,
  kind,
  metadata: { name, ...metadata },
  ...rest,
})

/** Builders of resources: what matters in a test is given, the rest is usual. */
export const aNamespace = (name: string, labels: Record<string, string> = {}) =>
  make('v1', 'Namespace', name, {}, { labels })
export const aServiceAccount = (namespace: string, name: string, labels: Record<string, string>) =>
  make('v1', 'ServiceAccount', name, {}, { namespace, labels })
export const aPod = (
  place: string,
  ip: string,
  labels: Record<string, string> = {},
  {
    node = 'node1',
    account,
    ports = [],
    ...spec
  }: { node?: string; account?: string; ports?: Given[]; [field: string]: unknown } = {},
) => {
  const [namespace, name] = place.split('/') as [string, string]
  return make(
    'v1',
    'Pod',
    name,
    {
      spec: {
        nodeName: node,
        ...(account && { serviceAccountName: account }),
        containers: [{ name: 'c', ports }],
        ...spec,
      },
      status: { phase: 'Running', podIP: ip },
    },
    { namespace, labels },
  )
}
export const aHost = (name: string, ip: string, spec: Given = {}, labels: Record<string, string> = {}) =>
  make(
    calico,
    'HostEndpoint',
    name,
    { spec: { node: name, interfaceName: '*', expectedIPs: [ip], ...spec } },
    { labels },
  )
export const aNode = (name: string, ip: string) =>
  make('v1', 'Node', name, { status: { addresses: [{ type: 'InternalIP', address: ip }] } })
export const aTier = (name: string, order: number, defaultAction = 'Deny') =>
  make(calico, 'Tier', name, { spec: { order, defaultAction } })
export const gnp = (name: string, spec: Given, kind = 'GlobalNetworkPolicy') => make(calico, kind, name, { spec })
export const np = (place: string, spec: Given, kind = 'NetworkPolicy') => {
  const [namespace, name] = place.split('/') as [string, string]
  return make(calico, kind, name, { spec }, { namespace })
}
export const knp = (place: string, spec: Given) => {
  const [namespace, name] = place.split('/') as [string, string]
  return make('networking.k8s.io/v1', 'NetworkPolicy', name, { spec }, { namespace })
}
export const kcnp = (name: string, spec: Given) =>
  make('policy.networking.k8s.io/v1alpha2', 'ClusterNetworkPolicy', name, { spec })
export const aNetworkSet = (place: string, spec: Given, labels: Record<string, string> = {}) => {
  const [first, second] = place.split('/') as [string, string | undefined]
  return second === undefined
    ? make(calico, 'GlobalNetworkSet', first, { spec }, { labels })
    : make(calico, 'NetworkSet', second, { spec }, { namespace: first, labels })
}
export const aService = (place: string, spec: Given) => {
  const [namespace, name] = place.split('/') as [string, string]
  return make('v1', 'Service', name, { spec }, { namespace })
}
export const anObject = make

export function clusterOf(...resources: readonly Resource[]): Cluster {
  const cluster = createCluster()
  for (const resource of resources) cluster.apply(resource)
  return cluster
}

export const tcp = (
  sourceIp: string,
  destinationIp: string,
  destinationPort: number,
  more: Partial<Packet> = {},
): Packet => ({
  sourceIp,
  destinationIp,
  protocol: 6,
  sourcePort: 40000,
  destinationPort,
  ...more,
})

/** Verdict and the traces of both ends as text. */
export function judged(cluster: Cluster, packet: Packet) {
  const { verdict, egress, ingress, pending } = evaluate(cluster, packet)
  const text = (judgement: typeof egress) => (judgement === null ? null : judgement.trace.map(formatTrace))
  return {
    verdict,
    egress: text(egress),
    ingress: text(ingress),
    pendingEgress: text(pending.egress),
    pendingIngress: text(pending.ingress),
  }
}

export const verdictOf = (cluster: Cluster, packet: Packet) => evaluate(cluster, packet).verdict
