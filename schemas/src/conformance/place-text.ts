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
  throw new VectorError(
    `${JSON.stringify(text)} is no place: write namespace/pod, namespace/service, node/name, an address or a domain name`,
  )
}

function parsePath(world: World, text: string, side: 'source' | 'destination'): Place {
  const [namespace, name] = splitName(text)
  if (namedResource(world, 'Pod', text) !== null) return { pod: text }
  if (world.cluster.endpoint(`wep:${text}`) !== null || namedResource(world, 'WorkloadEndpoint', text) !== null)
    return { endpoint: text }
  if (side === 'destination' && namedResource(world, 'Service', text) !== null) return { service: text }
  const made = [...world.cluster.endpoints()]
    .filter((endpoint) => endpoint.namespace === namespace && isMadeBy(name, endpoint.nameAggr))
    .sort((a, b) => (a.name < b.name ? -1 : 1))[0]
  if (made !== undefined) return { pod: `${namespace}/${made.name}` }
  if (namespace === 'node') return { host: name }
  throw new VectorError(`there is no pod, workload or service ${text}`)
}

/** `web-*` and `web-6f9c-*` are pods of `web`. */
function isMadeBy(workload: string, nameAggr: string): boolean {
  return nameAggr.startsWith(`${workload}-`) && /^-([a-z0-9]+-)?\*$/.test(nameAggr.slice(workload.length))
}

/** Reads `<place>[:<port>][/<protocol>]`; an IPv6 address with a port stands in brackets. Throws VectorError. */
function parseTarget(world: World, text: string): Target {
  const { place, port, protocol } = splitTarget(text)
  return {
    destination: parsePlace(world, place, 'destination'),
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
  const target = parseTarget(world, to)
  return { source: parsePlace(world, from, 'source'), ...(protocol !== null && { protocol }), ...target }
}
