type Given = Record<string, unknown>

const calico = 'projectcalico.org/v3'

/** Short names of kinds in vectors: apiVersion, kind, whether namespaced. */
const kinds: Readonly<Record<string, readonly [string, string, boolean]>> = {
  tier: [calico, 'Tier', false],
  np: [calico, 'NetworkPolicy', true],
  gnp: [calico, 'GlobalNetworkPolicy', false],
  snp: [calico, 'StagedNetworkPolicy', true],
  sgnp: [calico, 'StagedGlobalNetworkPolicy', false],
  sknp: [calico, 'StagedKubernetesNetworkPolicy', true],
  knp: ['networking.k8s.io/v1', 'NetworkPolicy', true],
  kcnp: ['policy.networking.k8s.io/v1alpha2', 'ClusterNetworkPolicy', false],
  anp: ['policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy', false],
  banp: ['policy.networking.k8s.io/v1alpha1', 'BaselineAdminNetworkPolicy', false],
  netset: [calico, 'NetworkSet', true],
  gns: [calico, 'GlobalNetworkSet', false],
  hep: [calico, 'HostEndpoint', false],
  wep: [calico, 'WorkloadEndpoint', true],
  profile: [calico, 'Profile', false],
  felix: [calico, 'FelixConfiguration', false],
  alert: [calico, 'GlobalAlert', false],
  report: [calico, 'GlobalReport', false],
  controllers: [calico, 'KubeControllersConfiguration', false],
  namespace: ['v1', 'Namespace', false],
  account: ['v1', 'ServiceAccount', true],
  service: ['v1', 'Service', true],
}

/**
 * The resource that a short form stands for: `{np: shop/web, labels?, annotations?, ...spec}`, likewise for the other kinds;
 * `{pod: shop/web, ip, labels?, node?, account?, ports?: [http=8080/TCP]}`; `{node: n1, ip}`; `{slice: shop/web, service, ips, ports: [http=8080]}`.
 * What has an apiVersion is a resource already.
 */
export function resourceOf(short: Given): Given {
  if ('apiVersion' in short) return short
  const [[kind, place], ...rest] = Object.entries(short) as [[string, string], ...[string, unknown][]]
  const { labels, annotations, ...spec } = Object.fromEntries(rest)
  const head = (apiVersion: string, name: string, namespaced: boolean) => {
    const [first, second] = String(place).includes('/') ? String(place).split('/') : [undefined, String(place)]
    return {
      apiVersion,
      kind: name,
      metadata: {
        name: second,
        ...(namespaced && first !== undefined && { namespace: first }),
        ...(labels !== undefined && { labels }),
        ...(annotations !== undefined && { annotations }),
      },
    }
  }
  if (kind === 'pod') return podOf(head('v1', 'Pod', true), spec)
  if (kind === 'node')
    return {
      ...head('v1', 'Node', false),
      status: { addresses: listOf(spec.ip).map((address) => ({ type: 'InternalIP', address })) },
    }
  if (kind === 'slice') return sliceOf(head('discovery.k8s.io/v1', 'EndpointSlice', true), spec)
  const known = kinds[kind]
  if (known === undefined) throw new Error(`no short form of ${kind}`)
  return { ...head(...known), ...(Object.keys(spec).length > 0 && { spec }) }
}

function podOf(pod: Given, given: Given): Given {
  const { ip, node = 'n1', account, ports, phase = 'Running', status, ...spec } = given
  const containers = [{ name: 'c', ports: listOf(ports).map((port) => portOf(String(port), 'containerPort')) }]
  return {
    ...pod,
    spec: {
      ...(node !== '' && { nodeName: node }),
      ...(account !== undefined && { serviceAccountName: account }),
      containers,
      ...spec,
    },
    status: status ?? { phase, ...(ip !== undefined && { podIPs: listOf(ip).map((one) => ({ ip: one })) }) },
  }
}

function sliceOf(slice: Given, { service, ips, ports }: Given): Given {
  const metadata = slice.metadata as Given
  return {
    ...slice,
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': service } },
    endpoints: listOf(ips).map((ip) => ({ addresses: [ip] })),
    ports: listOf(ports).map((port) => portOf(String(port), 'port')),
  }
}

function portOf(text: string, member: string): Given {
  const [, name, port, protocol] = /^(?:([^=]*)=)?(\d+)(?:\/(\w+))?$/.exec(text) ?? []
  return { ...(name && { name }), [member]: Number(port), ...(protocol && { protocol }) }
}

/** A list, or a list of one; nothing is none. */
export const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])

/** `shop/client -> shop/web:80 udp`: a pod, `host:n1`, `svc:shop/web`, `wep:shop/web`, `hep:n1`, an address, a name; the protocol is TCP. */
export function probeOf(text: string, more: Given = {}): Given {
  const [, from, to, port, protocol] =
    /^(\S+) -> (\S+?)(?::([a-z0-9-]+))?(?: (\w+))?$/.exec(
      text.replace(/\[(.*)\]/, (_, ip: string) => ip.replaceAll(':', '_')),
    ) ?? []
  if (from === undefined || to === undefined) throw new Error(`not a probe: ${text}`)
  return {
    source: placeOf(from.replaceAll('_', ':')),
    destination: placeOf(to.replaceAll('_', ':')),
    protocol:
      protocol === undefined
        ? 'TCP'
        : /^\d+$/.test(protocol)
          ? Number(protocol)
          : protocol.toUpperCase().replace('V6', 'v6'),
    ...(port !== undefined && { port: /^\d+$/.test(port) ? Number(port) : port }),
    ...more,
  }
}

const prefixes: Readonly<Record<string, string>> = { host: 'host', svc: 'service', wep: 'endpoint', hep: 'endpoint' }

function placeOf(text: string): Given {
  const prefix = /^(host|svc|wep|hep):(.+)$/.exec(text)
  if (prefix !== null) return { [prefixes[prefix[1] as string] as string]: prefix[2] }
  if (text.includes('/')) return { pod: text }
  return /^[\d.]+$|:/.test(text) ? { ip: text } : { domain: text }
}
