import { type HostPlacement, hostEndpointAt, hostPlacement } from './host-placement.ts'
import type { Direction, Endpoint, Exemption, PolicyModel, Stage, Verdict } from './model.ts'
import { beforeDnat, type ReadPacket } from './read-packet.ts'

/** A place on the way of a packet at which policy is asked, or would be if the packet were not exempt. */
export interface Station {
  readonly part: 'egress' | 'ingress' | 'transitEgress' | 'transitIngress'
  /** Whose policy it is; null for a node without a host endpoint, which decides by its settings alone. */
  readonly endpoint: Endpoint | null
  readonly direction: Direction
  /** In order; an Allow in one is final for the endpoint. */
  readonly stages: readonly Stage[]
  /** The packet as untracked and pre-DNAT policy see it there, and as the others do. */
  readonly early: ReadPacket
  readonly late: ReadPacket
  /** A station before it whose Allow settles this one too, which then is not asked. */
  readonly settledBy: Station | null
  /** Set when policy is not asked. */
  readonly exempt: { readonly reason: Exemption; readonly verdict: Verdict } | null
}

const normal: readonly Stage[] = ['normal']
const forward: readonly Stage[] = ['forward']
const preDnat: readonly Stage[] = ['pre-dnat']
const preDnatAndForward: readonly Stage[] = ['pre-dnat', 'forward']
const fromHost: readonly Stage[] = ['untracked', 'normal']
const toHost: readonly Stage[] = ['untracked', 'pre-dnat', 'normal']
const throughHost: readonly Stage[] = ['untracked', 'pre-dnat', 'forward']

/** The two ends of a packet, and the nodes that have them. */
interface Way {
  readonly model: PolicyModel
  readonly packet: ReadPacket
  readonly source: Endpoint | null
  readonly destination: Endpoint | null
  readonly from: string | null
  readonly to: string | null
}

/**
 * The stations of a packet (spec 5.4, 5.7.3, 14 5.2): at its source's node, at the node whose address the client used, and at its
 * destination's node. Where it passes a node, the host endpoint of the interface it comes in by is asked, then that of the interface it
 * goes out by; interfaces of workloads belong to `*`, whose untracked and normal policy leaves them alone.
 */
export function stationsOf(model: PolicyModel, packet: ReadPacket): readonly Station[] {
  const source = model.endpointByIp(packet.source.ip)
  const destination = model.endpointByIp(packet.destination.ip)
  const from = source?.kind === 'wep' ? source.node : model.nodeOf(packet.source.ip)
  const to = destination?.kind === 'wep' ? destination.node : model.nodeOf(packet.destination.ip)
  const way: Way = { model, packet, source, destination, from, to }
  return (from !== null && from === to ? withinNode(way) : null) ?? acrossNodes(way)
}

const isWorkload = (endpoint: Endpoint | null): endpoint is Endpoint => endpoint?.kind === 'wep'

/** Packets that stay within a node and are judged otherwise than by policy; null when they are judged like any other. */
function withinNode(way: Way): Station[] | null {
  const { packet, source, destination } = way
  if (!isWorkload(source)) return isWorkload(destination) ? exempt(way, 'own-host') : exempt(way, 'self')
  // What comes back by a service is routed, translated and judged; what goes to the own address never leaves the workload.
  const { addressed } = packet.packet
  if (source === destination && (addressed === undefined || addressed.ip === packet.destination.ip))
    return exempt(way, 'self')
  return isWorkload(destination) ? null : toOwnNode(way, source)
}

/** Both ends let the packet through without asking anybody. */
function exempt({ packet, source, destination }: Way, reason: Exemption): Station[] {
  const stations: Station[] = []
  const common = {
    stages: normal,
    early: packet,
    late: packet,
    settledBy: null,
    exempt: { reason, verdict: 'allow' },
  } as const
  if (source !== null) stations.push({ ...common, part: 'egress', endpoint: source, direction: 'egress' })
  if (destination !== null) stations.push({ ...common, part: 'ingress', endpoint: destination, direction: 'ingress' })
  return stations
}

/** A workload talks to its own node: pre-DNAT policy of `*`, its egress policy, then what the node's settings say. */
function toOwnNode({ model, packet, destination, to }: Way, source: Endpoint): Station[] {
  const node = to as string
  const hosts = hostPlacement(model, node)
  const common = { early: beforeDnat(packet), late: packet, settledBy: null, exempt: null }
  const first: Station | null =
    hosts.rest === null
      ? null
      : { ...common, part: 'transitEgress', endpoint: hosts.rest, direction: 'ingress', stages: preDnat }
  const stations: Station[] = first === null ? [] : [first]
  stations.push({ ...common, part: 'egress', endpoint: source, direction: 'egress', stages: normal })
  const action = model.endpointToHostAction(node)
  const host = hostOf(hosts, destination, { ip: packet.destination.ip })
  const verdict = action === 'drop' ? 'deny' : 'allow'
  if (host !== null || verdict === 'deny')
    stations.push({
      ...common,
      part: 'ingress',
      endpoint: host,
      direction: 'ingress',
      stages: normal,
      settledBy: first,
      exempt: action === 'return' ? null : { reason: 'endpoint-to-host', verdict },
    })
  return stations
}

/** Where the destination is translated, if it is, and the stations found so far. */
interface Route {
  readonly packet: ReadPacket
  readonly early: ReadPacket
  readonly from: string | null
  readonly translation: string | null
  readonly stations: Station[]
}

function acrossNodes(way: Way): Station[] {
  const { model, packet, source, destination, from, to } = way
  const { interfaces, addressed } = packet.packet
  const entry = addressed === undefined ? null : model.nodeOf(addressed.ip)
  const isMiddle = entry !== null && entry !== from && entry !== to
  // At the node that was addressed, else where the packet is first seen.
  const translation = entry ?? from ?? to
  const route: Route = { packet, early: beforeDnat(packet), from, translation, stations: [] }

  if (from !== null) {
    const hosts = hostPlacement(model, from)
    if (isWorkload(source)) {
      add(route, from, 'transitEgress', hosts.rest, 'ingress', preDnatAndForward)
      add(route, from, 'egress', source, 'egress', normal)
      if (to !== from || isMiddle) {
        const host = hostEndpointAt(hosts, { interfaceName: interfaces?.out })
        add(route, from, 'transitEgress', host, 'egress', forward)
      }
    } else {
      const host = hostOf(hosts, source, { interfaceName: interfaces?.out, ip: packet.source.ip })
      add(route, from, 'egress', host, 'egress', fromHost)
    }
  }
  if (isMiddle) {
    // The interfaces are those of the ends' nodes; where an end has none, this node stands for it.
    const hosts = hostPlacement(model, entry)
    const incoming = { interfaceName: to === null ? interfaces?.in : undefined, ip: addressed?.ip }
    const outgoing = { interfaceName: from === null ? interfaces?.out : undefined }
    add(route, entry, 'transitEgress', hostEndpointAt(hosts, incoming), 'ingress', throughHost)
    add(route, entry, 'transitEgress', hostEndpointAt(hosts, outgoing), 'egress', forward)
  }
  if (to !== null) {
    const hosts = hostPlacement(model, to)
    const interfaceName = interfaces?.in
    const ip = entry === to ? addressed?.ip : undefined
    if (isWorkload(destination)) {
      if (to !== from || isMiddle)
        add(route, to, 'transitIngress', hostEndpointAt(hosts, { interfaceName, ip }), 'ingress', throughHost)
      add(route, to, 'ingress', destination, 'ingress', normal)
      add(route, to, 'transitIngress', hosts.rest, 'egress', forward)
    } else {
      const host = hostOf(hosts, destination, { interfaceName, ip: ip ?? packet.destination.ip })
      add(route, to, 'ingress', host, 'ingress', toHost)
    }
  }
  return route.stations
}

/** The host endpoint of a process of the node: the one that the model knows for the address, unless the interface is given. */
function hostOf(
  hosts: HostPlacement,
  known: Endpoint | null,
  at: { readonly interfaceName?: string | undefined; readonly ip: string },
): Endpoint | null {
  if (at.interfaceName !== undefined || known === null) return hostEndpointAt(hosts, at)
  return known.interfaceName === '*' ? (hostEndpointAt(hosts, at) ?? known) : known
}

function add(
  { packet, early, from, translation, stations }: Route,
  node: string,
  part: Station['part'],
  endpoint: Endpoint | null,
  direction: Direction,
  stages: readonly Stage[],
): void {
  if (endpoint === null) return
  const isThere = node === translation
  // Before the node that translates it, the packet is as the client sent it; there, its first stages still see it so.
  const isBefore = !isThere && node === from
  stations.push({
    part,
    endpoint,
    direction,
    stages,
    early: isBefore || isThere ? early : packet,
    late: isBefore ? early : packet,
    settledBy: null,
    exempt: null,
  })
}
