import { type FlowUpdate, hasPorts, type PolicyModel } from '@margay/schemas'
import type { Tuple } from '../netlink/conntrack.ts'
import type { Addressed } from './assembly.ts'
import { packetOf } from './trace.ts'

/** The end of a connection that reports it: its source (egress rules) or its destination (ingress rules). */
export type End = FlowUpdate['reporter']

/** What an update is about: the connection and, as they were when it was first seen, the names of its ends. */
export type Subject = Pick<FlowUpdate, 'packet' | 'discriminator'> &
  Required<Pick<FlowUpdate, 'source' | 'destination'>>

/** The connection as policy sees it, with what the client addressed if DNAT has changed it, and the names of both ends. */
export function subjectOf(model: PolicyModel, tuple: Tuple, addressed: Addressed | null): Subject {
  const packet = packetOf(tuple, addressed)
  return {
    packet,
    ...(hasPorts(tuple.protocol) ? {} : { discriminator: tuple.sourcePort }),
    source: model.identify(packet.sourceIp, model.endpointByIp(packet.destinationIp)),
    destination: model.identify(packet.destinationIp, model.endpointByIp(packet.sourceIp)),
  }
}

/** Counters as the reporting end sees them: what the client sent goes out of the source and into the destination. */
export function countersOf(
  end: End,
  forward: { readonly packets: number; readonly bytes: number },
  back: { readonly packets: number; readonly bytes: number },
): Pick<FlowUpdate, 'bytesIn' | 'bytesOut' | 'packetsIn' | 'packetsOut'> {
  const [sent, received] = end === 'src' ? [forward, back] : [back, forward]
  return {
    bytesIn: received.bytes,
    bytesOut: sent.bytes,
    packetsIn: received.packets,
    packetsOut: sent.packets,
  }
}
