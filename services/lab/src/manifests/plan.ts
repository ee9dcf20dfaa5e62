import { groupOf, kindOf, type Resource } from '@margay/schemas'
import { defaultNameServerIp, freePodIp, ip6Of, nodeIp, podCidr, podCidr6 } from './addresses.ts'
import { type Call, callsAnnotation, callUrl, parseCalls } from './call.ts'
import { argumentCalls, commandCalls } from './command.ts'
import type { Document } from './documents.ts'
import { environmentCalls } from './environment.ts'
import { type Internet, parseInternet } from './internet.ts'
import { interfaceOf, netnsOf } from './name.ts'
import { type PodTemplate, podTemplates, workloadKinds } from './pod-template.ts'
import { declaredPorts, type LabPort, portKey } from './port.ts'
import { type LabService, planServices, portsOf, selectorOf, selects } from './service.ts'

/** Annotation with the HTTP status that a pod answers with. */
const statusAnnotation = 'margay.dev/lab-status'

/** A node of the lab. */
export interface LabNode {
  readonly name: string
  readonly netns: string
  readonly ip: string
  /** Null without IPv6, here and below. */
  readonly ip6: string | null
  readonly podCidr: string
  readonly podCidr6: string | null
  readonly labels: Readonly<Record<string, string>>
}

/** A pod of the lab. */
export interface LabPod {
  readonly namespace: string
  readonly name: string
  readonly generateName: string | null
  readonly workload: PodTemplate['workload']
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly serviceAccount: string
  readonly spec: PodTemplate['spec']
  readonly node: string
  readonly ip: string
  readonly ip6: string | null
  readonly netns: string
  /** Host-side interface; null on the node's own network. */
  readonly interfaceName: string | null
  readonly hostNetwork: boolean
  readonly ports: readonly LabPort[]
  readonly calls: readonly Call[]
  /** Status of its HTTP answers. */
  readonly httpStatus: number
  /** True for the cluster's name server. */
  readonly servesDns: boolean
}

/** Everything that the lab brings into being, worked out from the manifests. */
export interface LabPlan {
  readonly id: string
  readonly nodes: readonly LabNode[]
  readonly pods: readonly LabPod[]
  readonly services: readonly LabService[]
  /** ExternalName services: DNS name of the service -> the name that it stands for. */
  readonly aliases: ReadonlyMap<string, string>
  readonly internet: Internet
  readonly nameServerIp: string
  /** Resources of the manifests that are published as they are: namespaces, service accounts, policies. */
  readonly others: readonly Resource[]
  /** What was ignored or could not be done, each said once. */
  readonly notes: readonly string[]
}

/** `<namespace>/<name>`. */
export const podKey = (pod: Pick<LabPod, 'namespace' | 'name'>) => `${pod.namespace}/${pod.name}`

/** What a plan is made with. */
export interface PlanOptions {
  readonly id: string
  readonly nodes: number
  /** Pods and nodes have an IPv6 address too. */
  readonly ipv6?: boolean | undefined
  /** Pods of this plan keep their node and address. */
  readonly previous?: LabPlan | undefined
}

/** Groups whose resources are published as the manifests have them, beside namespaces and service accounts. */
const publishedGroups = ['projectcalico.org', 'networking.k8s.io', 'policy.networking.k8s.io']

function isPublished(resource: Resource): boolean {
  if (kindOf(resource) === null) return false
  return (
    ['Namespace', 'ServiceAccount'].includes(resource.kind) || publishedGroups.includes(groupOf(resource.apiVersion))
  )
}

/** Names become names of devices and files: nothing else than Kubernetes allows may get there (RFC 1123 subdomain). */
const namePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** Works out the lab from its manifests. Pure: the same manifests give the same names, nodes and addresses. */
export function makePlan(documents: readonly Document[], options: PlanOptions): LabPlan {
  const notes: string[] = []
  const resources = documents.map(({ resource }) => resource)
  const ofKind = (kind: string) => resources.filter((resource) => resource.kind === kind)
  const nodes = planNodes(options, ofKind('Node'))
  const internet = parseInternet(ofKind('LabInternet'), notes)

  const services = ofKind('Service').filter((service) => {
    if ((service.spec as { type?: string } | undefined)?.type === 'ExternalName') return false
    if (selectorOf(service) !== null) return true
    notes.push(`Service ${service.metadata.namespace ?? 'default'}/${service.metadata.name} selects no pods; ignored`)
    return false
  })
  const serviceNames = new Set(services.map((s) => `${s.metadata.namespace ?? 'default'}/${s.metadata.name}`))
  const templates = resources
    .filter(({ kind }) => workloadKinds.has(kind))
    .flatMap((workload) =>
      podTemplates(
        workload,
        nodes.map(({ name }) => name),
      ),
    )
  const pods = placePods(templates, { ...options, nodes, services, serviceNames, notes })

  const ignored = new Map<string, string[]>()
  const others: Resource[] = []
  for (const resource of resources) {
    if (workloadKinds.has(resource.kind) || ['Node', 'LabInternet', 'Service'].includes(resource.kind)) continue
    if (isPublished(resource)) others.push(resource)
    else ignored.set(resource.kind, [...(ignored.get(resource.kind) ?? []), resource.metadata?.name ?? '?'])
  }
  for (const [kind, names] of ignored) notes.push(`${kind} ignored: ${names.join(', ')}`)

  const planned = planServices(services, pods)
  const dns = planned.find(({ namespace, name }) => namespace === 'kube-system' && name === 'kube-dns')
  return {
    id: options.id,
    nodes,
    pods,
    services: planned,
    aliases: new Map(ofKind('Service').flatMap(aliasOf)),
    internet,
    nameServerIp: dns?.clusterIp ?? defaultNameServerIp,
    others,
    notes,
  }
}

function planNodes(options: PlanOptions, resources: readonly Resource[]): LabNode[] {
  return Array.from({ length: options.nodes }, (_, i) => {
    const name = `node${i + 1}`
    return {
      name,
      netns: `${options.id}-${name}`,
      ip: nodeIp(i + 1),
      ip6: options.ipv6 ? ip6Of(nodeIp(i + 1)) : null,
      podCidr: podCidr(i + 1),
      podCidr6: options.ipv6 ? podCidr6(i + 1) : null,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        ...resources.find((resource) => resource.metadata.name === name)?.metadata.labels,
      },
    }
  })
}

interface Placement extends PlanOptions {
  readonly services: readonly Resource[]
  readonly serviceNames: ReadonlySet<string>
  readonly notes: string[]
}

function placePods(
  templates: readonly PodTemplate[],
  { id, nodes, previous, services, serviceNames, notes }: Omit<Placement, 'nodes'> & { nodes: readonly LabNode[] },
): LabPod[] {
  const before = new Map((previous?.pods ?? []).map((pod) => [podKey(pod), pod]))
  const wanted = new Set(templates.map(podKey))
  const taken = new Set([...before.values()].filter((pod) => wanted.has(podKey(pod))).map(({ ip }) => ip))
  const pods = new Map<string, LabPod>()
  let turn = before.size
  for (const template of templates) {
    const key = podKey(template)
    if (![template.namespace, template.name].every((name) => namePattern.test(name) && name.length <= 253)) {
      notes.push(`${template.workload.kind} ${key} ignored: the name is none that Kubernetes allows`)
      continue
    }
    if (pods.has(key)) {
      notes.push(`${template.workload.kind} ${key} is there twice; the first is used`)
      continue
    }
    const asked = template.node ?? template.spec.nodeName ?? before.get(key)?.node ?? null
    let k = nodes.findIndex(({ name }) => name === asked)
    if (k < 0) {
      if (asked !== null)
        notes.push(`pod ${key} asks for node ${asked}, which the lab does not have; placed by round robin`)
      k = turn++ % nodes.length
    }
    const node = nodes[k] as LabNode
    const hostNetwork = template.spec.hostNetwork === true
    const kept = before.get(key)
    const ip = hostNetwork ? node.ip : kept?.node === node.name && !kept.hostNetwork ? kept.ip : freePodIp(k + 1, taken)
    if (ip === null) {
      notes.push(`pod ${key} left out: node ${node.name} has no free address; use more nodes`)
      continue
    }
    taken.add(ip)
    const isService = (host: string) => serviceNames.has(servicePath(host, template.namespace))
    pods.set(key, {
      namespace: template.namespace,
      name: template.name,
      generateName: template.generateName,
      workload: template.workload,
      labels: template.labels,
      annotations: template.annotations,
      serviceAccount: template.spec.serviceAccountName ?? 'default',
      spec: template.spec,
      node: node.name,
      ip,
      ip6: node.ip6 === null ? null : ip6Of(ip),
      netns: hostNetwork ? node.netns : netnsOf(id, template.namespace, template.name),
      interfaceName: hostNetwork ? null : interfaceOf(template.namespace, template.name),
      hostNetwork,
      ports: listeningPorts(template, services),
      calls: callsOf(template, isService, notes),
      httpStatus: httpStatusOf(template, notes),
      servesDns: template.namespace === 'kube-system' && template.labels['k8s-app'] === 'kube-dns',
    })
  }
  return [...pods.values()]
}

/** `<namespace>/<name>` of the service that a host means, seen from a namespace: `x`, `x.ns`, `x.ns.svc`, `x.ns.svc.cluster.local`. */
function servicePath(host: string, from: string): string {
  const [name = '', namespace = from, ...rest] = host.toLowerCase().replace(/\.$/, '').split('.')
  const tail = rest.join('.')
  return tail === '' || tail === 'svc' || tail === 'svc.cluster.local' ? `${namespace}/${name}` : ''
}

/** Ports that the pod declares, its probes call, or a service sends to. */
function listeningPorts(template: PodTemplate, services: readonly Resource[]): LabPort[] {
  const ports = new Map(declaredPorts(template.spec).map((port) => [portKey(port), port]))
  for (const service of services) {
    const selector = selectorOf(service)
    if ((service.metadata.namespace ?? 'default') !== template.namespace) continue
    if (selector === null || !selects(selector, template.labels)) continue
    for (const { protocol, targetPort } of portsOf(service)) {
      if (typeof targetPort !== 'number') continue
      const port = { name: null, protocol, port: targetPort }
      if (!ports.has(portKey(port))) ports.set(portKey(port), port)
    }
  }
  return [...ports.values()]
}

function callsOf(template: PodTemplate, isService: (host: string) => boolean, notes: string[]): Call[] {
  const annotated = parseCalls(template.annotations[callsAnnotation] ?? '')
  for (const text of annotated.unread)
    notes.push(
      `${callsAnnotation} of ${podKey(template)}: cannot read "${text}"; write <scheme>://<host>:<port> every <duration>`,
    )
  const calls = new Map<string, Call>()
  // An annotation says more than a guess: it replaces the call to the same target that was found elsewhere.
  for (const call of [
    ...annotated.calls,
    ...commandCalls(template.spec),
    ...argumentCalls(template.spec, isService),
    ...environmentCalls(template.spec, isService),
  ]) {
    const target =
      call.scheme === 'dns' ? callUrl(call) : `${call.scheme === 'udp' ? 'udp' : 'tcp'}:${call.host}:${call.port}`
    if (!calls.has(target)) calls.set(target, call)
  }
  return [...calls.values()]
}

function httpStatusOf(template: PodTemplate, notes: string[]): number {
  const text = template.annotations[statusAnnotation]
  if (text === undefined) return 200
  const status = Number(text)
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status
  notes.push(`${statusAnnotation} of ${podKey(template)}: "${text}" is not an HTTP status; 200 is used`)
  return 200
}

function aliasOf(service: Resource): [string, string][] {
  const { type, externalName } = (service.spec ?? {}) as { type?: string; externalName?: string }
  if (type !== 'ExternalName' || externalName === undefined) return []
  const { name, namespace = 'default' } = service.metadata
  return [[`${name}.${namespace}.svc.cluster.local`, externalName.toLowerCase().replace(/\.$/, '')]]
}
