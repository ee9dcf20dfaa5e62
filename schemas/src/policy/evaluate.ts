import type { Evaluation, Judgement, Judgements, Packet, PolicyModel } from './model.ts'
import { readPacket } from './read-packet.ts'
import { type Mode, scopeOf } from './scope.ts'
import { type Station, stationsOf } from './stations.ts'
import { judgeStation } from './walk.ts'

/**
 * Judges the first packet of a connection by the source's egress and the destination's ingress policy (spec 5.4), and by that of the host
 * endpoints that it is forwarded through (spec 5.7.3). It needs an Allow of each that has a say.
 */
export function evaluate(model: PolicyModel, packet: Packet): Evaluation {
  const stations = stationsOf(model, readPacket(packet))
  const enforced = judgeAll(model, stations, 'enforced')
  const pending = stations.some((station) => hasPreview(model, station))
    ? judgeAll(model, stations, 'pending')
    : enforced
  return { verdict: isDenied(enforced) ? 'deny' : 'allow', ...enforced, pending }
}

/** What the stations say, put together. */
export function judgeAll(model: PolicyModel, stations: readonly Station[], mode: Mode): Judgements {
  let egress: Judgement | null = null
  let ingress: Judgement | null = null
  let transitEgress: Judgement | null = null
  let transitIngress: Judgement | null = null
  for (const station of stations) {
    const judgement = judgeStation(model, station, mode)
    if (station.part === 'egress') egress = judgement
    else if (station.part === 'ingress') ingress = judgement
    else if (station.part === 'transitEgress') transitEgress = both(transitEgress, judgement)
    else transitIngress = both(transitIngress, judgement)
  }
  return { egress, ingress, transit: { egress: transitEgress, ingress: transitIngress } }
}

/** True when any of the judgements is Deny. */
function isDenied({ egress, ingress, transit }: Judgements): boolean {
  return [egress, ingress, transit.egress, transit.ingress].some((judgement) => judgement?.verdict === 'deny')
}

/** Two judgements one after the other; the packet does not get beyond a Deny. */
function both(first: Judgement | null, second: Judgement | null): Judgement | null {
  if (first === null || second === null) return first ?? second
  if (first.verdict === 'deny') return first
  const trace = [...first.trace, ...second.trace].map((entry, index) => ({ ...entry, index }))
  return { verdict: second.verdict, trace }
}

/** True when staged policies have a say at a station; most of the time the pending judgement is the enforced one. */
function hasPreview(model: PolicyModel, { endpoint, exempt, direction, stages }: Station): boolean {
  if (endpoint === null || exempt !== null) return false
  return stages.some((stage) => scopeOf(model, endpoint, direction, stage).hasPreview)
}
