import { parseAddress } from '../policy/ip.ts'
import { namedResource, type Place, splitName, type World } from './places.ts'
import type { Probe } from './probe.ts'
import { VectorError } from './request.ts'

/** Where a connection goes, as people write it. */
interface Target {
  readonly destination: Place
  readonly port?: number | string
  readonly protocol?: string
}

const domain = /^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?\.?$/i

const hint = 'write namespace/pod, namespace/service, node/name, an address or a domain name'

/**
 * Reads a place as people write it: `<namespace>/<name>` of a pod, of a workload endpoint, of a service (where a connection goes to), or of what made
 * a pod (its Deployment: the first of its pods by name); `node/<name>`; an address, also as `internet/<address>`; a domain name; the name of a host
 * endpoint. Throws VectorError when nothing in the world is called so.
 */
function parsePlace(world: World, text: string, side: 'source' | 'destination'): Place {
  const address = text.replace(/^internet\//, '')
  if (parseAddress(address) !== null) return { ip: address }
  if (text.includes('/')) return parsePath(world, text, side)
  if (world.cluster.endpoint(`hep:${text}`) !== null) return { endpoint: text }
  if (domain.test(text)) return { domain: text.replace(/\.$/, '') }
  throw new VectorError(`${JSON.stringify(text)} is no place: ${hint}`)
}

/**
 * Reads where a connection goes to. Beside what `parsePlace` reads, names are tried as the resolver of a pod does: `<service>.<namespace>`, also with
 * `.svc` or `.svc.cluster.local`; a name without dots is the service of that name in the namespace of the source, then the pod.
 */
function parseDestination(world: World, text: string, source: Place): Place {
  const service = serviceOfName(world, text)
  if (service !== null) return { service }
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(text)) return parsePlace(world, text, 'destination')
  const from = source.pod ?? source.endpoint
  const namespace = from?.includes('/') ? splitName(from)[0] : null
  if (namespace !== null) {
    const path = `${namespace}/${text}`
    if (namedResource(world, 'Service', path) !== null) return { service: path }
    const pod = ownPlace(world, path) ?? firstMade(world, path)
    if (pod !== null) return pod
  }
  if (world.cluster.endpoint(`hep:${text}`) !== null) return { endpoint: text }
  throw new VectorError(
    namespace === null
      ? `there is no host endpoint ${text}, and the source is no pod in whose namespace a service or pod could be meant: ${hint}`
      : `there is no service and no pod ${text} in namespace ${namespace} (that of ${from}), and no host endpoint: ${hint}`,
  )
}

/** `<namespace>/<name>` of the service that a name in the cluster's DNS means; null when it means none. */
function serviceOfName(world: World, text: string): string | null {
  const [, name, namespace] =
    /^([a-z0-9-]+)\.([a-z0-9-]+)(?:\.svc(?:\.cluster\.local\.?)?)?$/.exec(text.toLowerCase()) ?? []
  const path = `${namespace}/${name}`
  return name !== undefined && namedResource(world, 'Service', path) !== null ? path : null
}

function parsePath(world: World, text: string, side: 'source' | 'destination'): Place {
  const [namespace, name] = splitName(text)
  const isService = side === 'destination' && namedResource(world, 'Service', text) !== null
  const place = ownPlace(world, text) ?? (isService ? { service: text } : firstMade(world, text))
  if (place !== null) return place
  if (namespace === 'node') return { host: name }
  throw new VectorError(`there is no pod, workload or service ${text}`)
}

/** The pod or workload endpoint of that very name; null when there is none. */
function ownPlace(world: World, text: string): Place | null {
  if (namedResource(world, 'Pod', text) !== null) return { pod: text }
  const isEndpoint =
    world.cluster.endpoint(`wep:${text}`) !== null || namedResource(world, 'WorkloadEndpoint', text) !== null
  return isEndpoint ? { endpoint: text } : null
}

/** The first by name of the pods that a workload made; null when it made none. */
function firstMade(world: World, text: string): Place | null {
  const [namespace, name] = splitName(text)
  const made = [...world.cluster.endpoints()]
    .filter((endpoint) => endpoint.namespace === namespace && isMadeBy(name, endpoint.nameAggr))
    .sort((a, b) => (a.name < b.name ? -1 : 1))[0]
  return made === undefined ? null : { pod: `${namespace}/${made.name}` }
}

/** `web-*` and `web-6f9c-*` are pods of `web`. */
function isMadeBy(workload: string, nameAggr: string): boolean {
  return nameAggr.startsWith(`${workload}-`) && /^-([a-z0-9]+-)?\*$/.test(nameAggr.slice(workload.length))
}

/** Reads `<place>[:<port>][/<protocol>]`; an IPv6 address with a port stands in brackets. Throws VectorError. */
function parseTarget(world: World, text: string, source: Place): Target {
  const { place, port, protocol } = splitTarget(text)
  return {
    destination: parseDestination(world, place, source),
    ...(port !== undefined && { port: /^\d+$/.test(port) ? Number(port) : port }),
    ...(protocol !== undefined && { protocol }),
  }
}

/** The parts of `<place>[:<port>][/<protocol>]` as text. */
export function splitTarget(text: string): { place: string; port?: string; protocol?: string } {
  const bracketed = /^\[([^\]]+)\](?::([A-Za-z0-9_.-]+)(?:\/([A-Za-z0-9]+))?)?$/.exec(text)
  const plain = /^([^:]+):([A-Za-z0-9_.-]+)(?:\/([A-Za-z0-9]+))?$/.exec(text)
  const [, place = text, port, protocol] = bracketed ?? plain ?? []
  return { place, ...(port !== undefined && { port }), ...(protocol !== undefined && { protocol }) }
}

/** Reads both ends of a connection; `protocol` counts where the text names none. Throws VectorError. */
export function parseProbe(world: World, from: string, to: string, protocol: string | null): Probe {
  const source = parsePlace(world, from, 'source')
  return { source, ...(protocol !== null && { protocol }), ...parseTarget(world, to, source) }
}
