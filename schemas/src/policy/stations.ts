import { hostEndpointAt, hostPlacement } from './host-placement.ts'
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

/**
 * The stations of a packet (spec 5.4, 5.7.3, 14 5.2): at its source's node, at the node whose address the client used, and at its destination's
 * node. Where it passes a node, the host endpoint of the interface it comes in by is asked, then that of the interface it goes out by;
 * interfaces of workloads belong to `*`, which untracked and normal policy leave alone there.
 */
export function stationsOf(model: PolicyModel, packet: ReadPacket): readonly Station[] {
  const source = model.endpointByIp(packet.source.ip)
  const destination = model.endpointByIp(packet.destination.ip)
  const from = source?.kind === 'wep' ? source.node : model.nodeOf(packet.source.ip)
  const to = destination?.kind === 'wep' ? destination.node : model.nodeOf(packet.destination.ip)
  const way = { model, packet, source, destination, from, to }
  if (from !== null && from === to) {
    const local = withinNode(way)
    if (local !== null) return local
  }
  return acrossNodes(way)
}

interface Way {
  readonly model: PolicyModel
  readonly packet: ReadPacket
  readonly source: Endpoint | null
  readonly destination: Endpoint | null
  readonly from: string | null
  readonly to: string | null
}

const isWorkload = (endpoint: Endpoint | null): endpoint is Endpoint => endpoint?.kind === 'wep'

/** Packets that stay within a node and are judged otherwise than by policy; null when they are judged like any other. */
function withinNode({ model, packet, source, destination, to }: Way): Station[] | null {
  const common = { stages: normal, early: packet, late: packet }
  const exempt = (reason: Exemption, verdict: Verdict): Station[] => {
    const station = (part: 'egress' | 'ingress', endpoint: Endpoint | null): Station[] =>
      endpoint === null ? [] : [{ ...common, part, endpoint, direction: part, exempt: { reason, verdict } }]
    return [...station('egress', source), ...station('ingress', destination)]
  }
  // What comes back by a service is routed, translated and judged; what goes to the own address never leaves the workload.
  const isTranslated = packet.packet.addressed !== undefined && packet.packet.addressed.ip !== packet.destination.ip
  if (isWorkload(source)) {
    if (source === destination && !isTranslated) return exempt('self', 'allow')
    return isWorkload(destination) ? null : toOwnNode({ model, packet, source, node: to as string })
  }
  return exempt(isWorkload(destination) ? 'own-host' : 'self', 'allow')
}

/** A workload talks to its own node: pre-DNAT policy of `*`, its egress policy, then what the node's settings say. */
function toOwnNode(way: { model: PolicyModel; packet: ReadPacket; source: Endpoint; node: string }): Station[] {
  const { model, packet, source, node } = way
  const hosts = hostPlacement(model, node)
  const early = beforeDnat(packet)
  const common = { early, late: packet, exempt: null }
  const stations: Station[] = []
  if (hosts.rest !== null)
    stations.push({ ...common, part: 'transitEgress', endpoint: hosts.rest, direction: 'ingress', stages: preDnat })
  stations.push({ ...common, part: 'egress', endpoint: source, direction: 'egress', stages: normal })
  const action = model.endpointToHostAction(node)
  const host = hostEndpointAt(hosts, { ip: packet.destination.ip })
  const ingress = { ...common, part: 'ingress' as const, endpoint: host, direction: 'ingress' as const, stages: normal }
  if (action === 'drop') stations.push({ ...ingress, exempt: { reason: 'endpoint-to-host', verdict: 'deny' } })
  else if (host !== null)
    stations.push(
      action === 'return' ? ingress : { ...ingress, exempt: { reason: 'endpoint-to-host', verdict: 'allow' } },
    )
  return stations
}

function acrossNodes(way: Way): Station[] {
  const { model, packet, source, destination, from, to } = way
  const { interfaces, addressed } = packet.packet
  const early = beforeDnat(packet)
  const entry = addressed === undefined ? null : model.nodeOf(addressed.ip)
  const isMiddle = entry !== null && entry !== from && entry !== to
  /** Where the destination is translated: at the node that was addressed, else where the packet is first seen. */
  const translation = entry ?? from ?? to
  const stations: Station[] = []

  function add(
    part: Station['part'],
    endpoint: Endpoint | null,
    direction: Direction,
    stages: readonly Stage[],
    node: string,
  ): void {
    if (endpoint === null) return
    // Before the node that translates it, the packet is as the client sent it; there, its first stages see it so.
    const isBefore = translation !== node && node === from
    const isThere = translation === node
    stations.push({
      part,
      endpoint,
      direction,
      stages,
      early: isBefore || isThere ? early : packet,
      late: isBefore ? early : packet,
      exempt: null,
    })
  }

  if (from !== null) {
    const hosts = hostPlacement(model, from)
    const out = { interfaceName: interfaces?.out }
    if (isWorkload(source)) {
      add('transitEgress', hosts.rest, 'ingress', preDnatAndForward, from)
      add('egress', source, 'egress', normal, from)
      if (to !== from || isMiddle) add('transitEgress', hostEndpointAt(hosts, out), 'egress', forward, from)
    } else add('egress', hostEndpointAt(hosts, { ...out, ip: packet.source.ip }), 'egress', fromHost, from)
  }
  if (isMiddle) {
    const hosts = hostPlacement(model, entry)
    const incoming = { interfaceName: to === null ? interfaces?.in : undefined, ip: addressed?.ip }
    add('transitEgress', hostEndpointAt(hosts, incoming), 'ingress', throughHost, entry)
    const outgoing = { interfaceName: from === null ? interfaces?.out : undefined }
    add('transitEgress', hostEndpointAt(hosts, outgoing), 'egress', forward, entry)
  }
  if (to !== null) {
    const hosts = hostPlacement(model, to)
    const isArriving = to !== from || isMiddle
    const incoming = { interfaceName: interfaces?.in, ip: entry === to ? addressed?.ip : undefined }
    if (isWorkload(destination)) {
      if (isArriving) add('transitIngress', hostEndpointAt(hosts, incoming), 'ingress', throughHost, to)
      add('ingress', destination, 'ingress', normal, to)
      add('transitIngress', hosts.rest, 'egress', forward, to)
    } else {
      const ip = incoming.ip ?? packet.destination.ip
      add('ingress', hostEndpointAt(hosts, { ...incoming, ip }), 'ingress', toHost, to)
    }
  }
  return stations
}
