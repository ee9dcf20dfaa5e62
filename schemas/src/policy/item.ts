import type { HostEndpointSpec, PodSpec, PodStatus, WorkloadEndpointSpec } from '../resources/kinds/endpoint.ts'
import type { NetworkSetSpec } from '../resources/kinds/network-set.ts'
import { protocolNumber } from '../resources/protocol.ts'
import type { Resource } from '../resources/resource.ts'
import { canonicalDomain } from './domain.ts'
import { namespaceLabel, orchestratorLabel, serviceAccountLabel } from './flat-selector.ts'
import { canonicalAddress, canonicalCidrs } from './ip.ts'
import type { Endpoint, Labels } from './model.ts'
import { remembering } from './selector/memo.ts'

/** Something selectors can select: an endpoint or a network set, with its own labels (spec 14, 2.1). */
export interface Item {
  /** `wep:<namespace>/<name>`, `hep:<name>` or `ns:[<namespace>/]<name>`. */
  readonly key: string
  readonly kind: 'wep' | 'hep' | 'ns'
  readonly namespace: string | null
  readonly name: string
  /** Labels that selectors see, system labels included, inherited ones not. */
  readonly labels: Labels
  /** Labels as the user gave them. */
  readonly ownLabels: Labels
  /** Profiles it inherits labels from, first wins. */
  readonly profiles: readonly string[]
  /** Addresses of an endpoint, or addresses and blocks of a set, in their usual text. */
  readonly nets: readonly string[]
  /** Domain names of a set. */
  readonly domains: readonly string[]
  /** Tells the interfaces of one workload apart, where it may have several. */
  readonly part?: string
  /** What only endpoints have. */
  readonly endpoint: Pick<Endpoint, 'nameAggr' | 'node' | 'interfaceName' | 'ports'> | null
}

const none: readonly never[] = []
const podIpAnnotations = ['cni.projectcalico.org/podIPs', 'cni.projectcalico.org/podIP', 'vpc.amazonaws.com/pod-ips']

/** The item that a resource is, or null when it is none (as a pod that has finished). */
export function itemOf(resource: Resource): Item | null {
  switch (resource.kind) {
    case 'Pod':
      return podItem(resource)
    case 'WorkloadEndpoint':
      return workloadItem(resource)
    case 'HostEndpoint':
      return hostItem(resource)
    case 'NetworkSet':
    case 'GlobalNetworkSet':
      return networkSetItem(resource)
    default:
      return null
  }
}

/** Reads a pod as it comes from Kubernetes, null members and all: copying whole pods first would cost more than all the rest. */
function podItem({ metadata, spec, status }: Resource): Item | null {
  const { nodeName, hostNetwork, serviceAccountName, serviceAccount, containers, initContainers } = (spec ??
    {}) as PodSpec
  const { phase } = (status ?? {}) as PodStatus
  if (!nodeName || hostNetwork || phase === 'Succeeded' || phase === 'Failed') return null
  const namespace = metadata.namespace ?? 'default'
  const ports = [...(containers ?? []), ...(initContainers ?? [])]
    .flatMap((container) => container.ports ?? [])
    .flatMap(({ name, containerPort, protocol }) =>
      name ? [{ name, protocol: protocolNumber(protocol ?? 'TCP') as number, port: containerPort }] : [],
    )
  // Kubernetes gives the account `default` to a pod that names none.
  return workload(metadata, namespace, serviceAccountName || serviceAccount || 'default', {
    ips: podIps(metadata.annotations ?? {}, (status ?? {}) as PodStatus),
    node: nodeName,
    interfaceName: null,
    ports: ports.length === 0 ? none : ports,
  })
}

function podIps(annotations: Readonly<Record<string, string>>, { podIPs, podIP }: PodStatus): string[] {
  const many = (podIPs ?? []).flatMap(({ ip }) => (ip ? [ip] : []))
  if (many.length > 0) return many
  if (podIP) return [podIP]
  const annotation = podIpAnnotations.map((name) => annotations[name]).find((text) => text != null)
  return (annotation ?? '').split(',').flatMap((text) => (text.trim() === '' ? [] : [addressOf(text.trim())]))
}

const addressOf = (net: string) => net.split('/')[0] as string

function workloadItem({ metadata, spec }: Resource): Item {
  const {
    node = '',
    pod,
    serviceAccountName,
    ipNetworks = [],
    interfaceName,
    ports = [],
    profiles = [],
    orchestrator,
    endpoint,
  } = (spec ?? {}) as WorkloadEndpointSpec
  const item = workload(
    { ...metadata, name: pod || metadata.name },
    metadata.namespace ?? 'default',
    serviceAccountName || null,
    {
      ips: ipNetworks.map(addressOf),
      node,
      interfaceName: interfaceName || null,
      ports: ports.flatMap(({ name, protocol, port }) =>
        name ? [{ name, protocol: protocolNumber(protocol) as number, port }] : [],
      ),
    },
  )
  const labels = { ...item.labels, [orchestratorLabel]: orchestrator || 'k8s' }
  return { ...item, labels, profiles, part: endpoint || interfaceName || metadata.name }
}

function workload(
  { name, generateName, labels }: Resource['metadata'],
  namespace: string,
  serviceAccount: string | null,
  given: Pick<Endpoint, 'ips' | 'node' | 'interfaceName' | 'ports'>,
): Item {
  const { ips, node, interfaceName, ports } = given
  const all: Record<string, string> = { ...labels }
  all[namespaceLabel] = namespace
  all[orchestratorLabel] = 'k8s'
  if (serviceAccount !== null) all[serviceAccountLabel] = serviceAccount
  return {
    key: `wep:${namespace}/${name}`,
    kind: 'wep',
    namespace,
    name,
    labels: all,
    ownLabels: { ...labels },
    profiles: profilesOf(`${namespace}/${serviceAccount ?? ''}`),
    nets: ips.map(canonicalAddress),
    domains: none,
    endpoint: { nameAggr: generateName ? `${generateName}*` : name, node, interfaceName, ports },
  }
}

/** Profiles of workloads by `namespace/account`; pods that share them share the list. */
const profilesOf = remembering(1000, (place): readonly string[] => {
  const [namespace, account] = place.split('/') as [string, string]
  return account === '' ? [`kns.${namespace}`] : [`kns.${namespace}`, `ksa.${namespace}.${account}`]
})

function hostItem({ metadata, spec }: Resource): Item {
  const { node, interfaceName, expectedIPs = [], profiles = [], ports = [] } = spec as HostEndpointSpec
  const { name, labels = {} } = metadata
  return {
    key: `hep:${name}`,
    kind: 'hep',
    namespace: null,
    name,
    labels,
    ownLabels: labels,
    profiles,
    nets: expectedIPs.map(canonicalAddress),
    domains: none,
    endpoint: {
      nameAggr: node,
      node,
      interfaceName: interfaceName || null,
      ports: ports.map(({ name: port, protocol, port: number }) => ({
        name: port,
        protocol: protocolNumber(protocol) as number,
        port: number,
      })),
    },
  }
}

function networkSetItem({ kind, metadata, spec }: Resource): Item {
  const { nets = [], allowedEgressDomains = [] } = (spec ?? {}) as NetworkSetSpec
  const { name, labels = {} } = metadata
  const namespace = kind === 'NetworkSet' ? (metadata.namespace ?? 'default') : null
  return {
    key: `ns:${namespace === null ? '' : `${namespace}/`}${name}`,
    kind: 'ns',
    namespace,
    name,
    labels: {
      ...labels,
      'projectcalico.org/name': name,
      'projectcalico.org/kind': 'NetworkSet',
      ...(namespace !== null && { [namespaceLabel]: namespace }),
    },
    ownLabels: labels,
    profiles: namespace === null ? [] : [`kns.${namespace}`],
    nets: canonicalCidrs(nets),
    domains: allowedEgressDomains.map(canonicalDomain),
    endpoint: null,
  }
}
