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

/** The packet that opened a connection, in the form that the evaluator takes. */
export function packetOf(tuple: Tuple): Packet {
  const ports = hasPorts(tuple.protocol)
  const isIcmp = tuple.protocol === 1 || tuple.protocol === 58
  return {
    sourceIp: tuple.source,
    destinationIp: tuple.destination,
    protocol: tuple.protocol,
    sourcePort: ports ? tuple.sourcePort : null,
    destinationPort: ports ? tuple.destinationPort : null,
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
  const judgement = judgementOf(model, packet, direction)
  if (judgement?.verdict !== verdict) return observed
  const last = observed.at(-1)
  const expected = judgement.trace.at(-1)
  if (last !== undefined && (expected?.ref.name !== last.ref.name || expected.ruleIndex !== last.ruleIndex))
    return observed
  return [...judgement.trace]
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

/** True when the first hit is in the first tier that governs the endpoint. */
function isComplete(hits: readonly RuleHit[], direction: Direction, packet: Packet, model: PolicyModel): boolean {
  const first = hits[0]
  const endpoint = model.endpointByIp(direction === 'egress' ? packet.sourceIp : packet.destinationIp)
  if (first === undefined || endpoint === null) return false
  const tier = model.governing(endpoint, direction).find(({ policies }) => policies.some((p) => !p.staged))
  return first.ref.tier === (tier?.tier.name ?? profileTier)
}
