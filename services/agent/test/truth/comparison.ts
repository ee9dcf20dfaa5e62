import {
  type Evaluation,
  evaluate,
  type FlowEvent,
  formatTrace,
  type Packet,
  type PolicyModel,
  protocolName,
  type TraceEntry,
} from '@margay/schemas'
import type { TestPod } from '../node.ts'
import type { ProbeAnswer } from './prober.ts'

/** A connection from a pod to a pod, in numbers of pods. */
export interface TruthProbe {
  readonly from: number
  readonly to: number
  readonly family: 4 | 6
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  readonly port: number
}

/** Where the kernel and the evaluator do not say the same. */
export interface Difference {
  readonly probe: TruthProbe
  readonly packet: Packet
  readonly what: string
  readonly kernel: unknown
  readonly evaluator: unknown
}

/** A probe as the evaluator takes it. */
export function packetOf(
  { from, to, family, protocol, port }: TruthProbe,
  pods: readonly TestPod[],
  sourcePort: number,
): Packet {
  const [source, destination] = [pods[from] as TestPod, pods[to] as TestPod]
  const ends =
    family === 4
      ? { sourceIp: source.ip, destinationIp: destination.ip }
      : { sourceIp: source.ip6, destinationIp: destination.ip6 }
  if (protocol === 'icmp') {
    const icmp = { type: family === 4 ? 8 : 128, code: 0 }
    return { ...ends, protocol: family === 4 ? 1 : 58, sourcePort: null, destinationPort: null, icmp }
  }
  return { ...ends, protocol: protocol === 'tcp' ? 6 : 17, sourcePort, destinationPort: port }
}

const printed = (trace: readonly TraceEntry[] | undefined) => (trace ?? []).map(formatTrace)

/** True when the kernel let the connection through exactly if the evaluator does. */
export const agrees = (expected: Evaluation, answer: ProbeAnswer) => answer.answered === (expected.verdict === 'allow')

/** Finds flow records of a batch by their connection. */
export function flowIndex(flows: readonly FlowEvent[]): (packet: Packet, reporter: 'src' | 'dst') => FlowEvent[] {
  const index = new Map<string, FlowEvent[]>()
  const keyOf = (parts: readonly unknown[]) => parts.join(' ')
  for (const flow of flows) {
    // What was open under earlier policies ends now, with the rules of its time.
    if (flow.num_flows_started === 0) continue
    const key = keyOf([flow.reporter, flow.proto, flow.source_ip, flow.source_port, flow.dest_ip, flow.dest_port])
    index.set(key, [...(index.get(key) ?? []), flow])
  }
  return (packet, reporter) =>
    index.get(
      keyOf([
        reporter,
        protocolName(packet.protocol),
        packet.sourceIp,
        packet.sourcePort,
        packet.destinationIp,
        packet.destinationPort,
      ]),
    ) ?? []
}

/** All the ways in which the kernel's answer and the flow records differ from the evaluator. */
export function differencesOf(
  probe: TruthProbe,
  packet: Packet,
  answer: ProbeAnswer,
  model: PolicyModel,
  flowsOf: ReturnType<typeof flowIndex>,
): Difference[] {
  const expected = evaluate(model, packet)
  const found: Difference[] = []
  const hold = (what: string, kernel: unknown, evaluator: unknown) => {
    if (JSON.stringify(kernel) !== JSON.stringify(evaluator)) found.push({ probe, packet, what, kernel, evaluator })
  }
  hold('verdict', answer.answered ? 'allow' : 'deny', expected.verdict)
  const src = flowsOf(packet, 'src')
  hold('a record of the source', src.length > 0, true)
  for (const record of src) {
    hold('action at the source', record.action, expected.egress?.verdict)
    hold('rules at the source', record.enforced_policies, printed(expected.egress?.trace))
    hold('pending rules at the source', record.pending_policies, printed(expected.pending.egress?.trace))
  }
  const dst = flowsOf(packet, 'dst')
  hold('a record of the destination', dst.length > 0, expected.egress?.verdict === 'allow')
  for (const record of dst) {
    hold('action at the destination', record.action, expected.ingress?.verdict)
    hold('rules at the destination', record.enforced_policies, printed(expected.ingress?.trace))
    hold('pending rules at the destination', record.pending_policies, printed(expected.pending.ingress?.trace))
  }
  return found
}
