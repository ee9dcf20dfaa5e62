import {
  type Direction,
  evaluate,
  hasPorts,
  type Judgement,
  type Packet,
  type PolicyModel,
  profileTier,
  type TraceEntry,
  type Verdict,
} from '@margay/schemas'
import type { Tuple } from '../netlink/conntrack.ts'
import type { RuleHit } from '../nftables/names.ts'
import type { Addressed } from './assembly.ts'

/** The packet that opened a connection, in the form that the evaluator takes. */
export function packetOf(tuple: Tuple, addressed: Addressed | null): Packet {
  const ports = hasPorts(tuple.protocol)
  const isIcmp = tuple.protocol === 1 || tuple.protocol === 58
  return {
    sourceIp: tuple.source,
    destinationIp: tuple.destination,
    protocol: tuple.protocol,
    sourcePort: ports ? tuple.sourcePort : null,
    destinationPort: ports ? tuple.destinationPort : null,
    ...(addressed === null ? {} : { addressed }),
    ...(isIcmp ? { icmp: { type: tuple.destinationPort >> 8, code: tuple.destinationPort & 0xff } } : {}),
  }
}

/**
 * The trace of a judged packet from the hits that the kernel logged. Passes are logged for the first packet of a connection only, so
 * a later packet that meets a new Deny, or one whose log messages were lost, lacks its first steps: then the evaluator's trace is taken,
 * if it comes to the same end.
 */
export function traceOf(
  hits: readonly (RuleHit | null)[],
  verdict: Verdict,
  direction: Direction,
  packet: Packet,
  model: PolicyModel,
): TraceEntry[] {
  const known = hits.filter((hit) => hit !== null)
  const observed = known.map((hit, index) => entryOf(hit, index))
  if (known.length === hits.length && isComplete(known, direction, packet, model)) return observed
  const last = observed.at(-1)
  const comesToIt = (judgement: Judgement | null): judgement is Judgement => {
    if (judgement?.verdict !== verdict) return false
    const expected = judgement.trace.at(-1)
    return last === undefined || (expected?.ref.name === last.ref.name && expected.ruleIndex === last.ruleIndex)
  }
  const { egress, ingress, transit } = evaluate(model, packet)
  const end = direction === 'egress' ? egress : ingress
  // Host endpoints have a say about packets that only pass.
  const found = [end, transit.egress, transit.ingress].find(comesToIt)
  return found === undefined ? observed : [...found.trace]
}

/** What host endpoints say now about a connection on its way, at the node of one end. */
export function transitTrace(model: PolicyModel, packet: Packet, direction: Direction): readonly TraceEntry[] {
  return evaluate(model, packet).transit[direction]?.trace ?? []
}

/** What policy says now about a connection whose beginning was not seen; empty when it would not be allowed now. */
export function presentTrace(model: PolicyModel, packet: Packet, direction: Direction): TraceEntry[] {
  const judgement = judgementOf(model, packet, direction)
  return judgement?.verdict === 'allow' ? [...judgement.trace] : []
}

/** True for a connection that is let through without asking policy, which therefore leaves no trace. */
export function isOutsidePolicy(model: PolicyModel, packet: Packet, direction: Direction): boolean {
  const judgement = judgementOf(model, packet, direction)
  return judgement?.verdict === 'allow' && judgement.trace.length === 0
}

function judgementOf(model: PolicyModel, packet: Packet, direction: Direction): Judgement | null {
  const evaluation = evaluate(model, packet)
  return direction === 'egress' ? evaluation.egress : evaluation.ingress
}

function entryOf(hit: RuleHit, index: number): TraceEntry {
  // Hits with action log never reach a trace.
  const action = hit.action === 'log' ? 'pass' : hit.action
  return { index, ref: hit.ref, staged: false, action, ruleIndex: hit.ruleIndex }
}

const earlyStages = ['untracked', 'pre-dnat'] as const

/** True when the first hit is in the first tier that governs the endpoint. */
function isComplete(hits: readonly RuleHit[], direction: Direction, packet: Packet, model: PolicyModel): boolean {
  const first = hits[0]
  const endpoint = model.endpointByIp(direction === 'egress' ? packet.sourceIp : packet.destinationIp)
  if (first === undefined || endpoint === null || first.stage !== 'normal') return false
  // A host endpoint has passed it before, and nobody has told of that.
  if (endpoint.kind === 'hep' && earlyStages.some((stage) => model.governing(endpoint, direction, stage).length > 0))
    return false
  const tier = model.governing(endpoint, direction).find(({ policies }) => policies.some((p) => !p.staged))
  return first.ref.tier === (tier?.tier.name ?? profileTier)
}
