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
  const { egress, ingress, transit } = judgeAll(model, stations, 'enforced')
  const pending = hasPreview(model, stations) ? judgeAll(model, stations, 'pending') : { egress, ingress, transit }
  const isDenied =
    egress?.verdict === 'deny' ||
    ingress?.verdict === 'deny' ||
    transit.egress?.verdict === 'deny' ||
    transit.ingress?.verdict === 'deny'
  return { verdict: isDenied ? 'deny' : 'allow', egress, ingress, transit, pending }
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

/** Two judgements one after the other; the packet does not get beyond a Deny. */
function both(first: Judgement | null, second: Judgement | null): Judgement | null {
  if (first === null || second === null) return first ?? second
  if (first.verdict === 'deny') return first
  const trace = [...first.trace, ...second.trace].map((entry, index) => ({ ...entry, index }))
  return { verdict: second.verdict, trace }
}

/** True when staged policies have a say at a station; most of the time the pending judgements are the enforced ones. */
function hasPreview(model: PolicyModel, stations: readonly Station[]): boolean {
  for (const { endpoint, exempt, direction, stages } of stations) {
    if (endpoint === null || exempt !== null) continue
    for (const stage of stages) if (scopeOf(model, endpoint, direction, stage).hasPreview) return true
  }
  return false
}
