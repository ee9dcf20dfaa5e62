import { type FlowUpdate, hasPorts, type PolicyModel } from '@margay/schemas'
import type { DestinationNames } from '../dns/destination-names.ts'
import type { Tuple } from '../netlink/conntrack.ts'
import type { Addressed } from './assembly.ts'
import { packetOf } from './trace.ts'

/** The end of a connection that reports it: its source (egress rules) or its destination (ingress rules). */
export type End = FlowUpdate['reporter']

/** What an update is about: the connection and, as they were when it was first seen, the names of its ends. */
export type Subject = Pick<FlowUpdate, 'packet' | 'discriminator' | 'domains'> &
  Required<Pick<FlowUpdate, 'source' | 'destination'>>

/** What is asked to name connections. */
export interface SubjectDeps {
  readonly model: PolicyModel
  /** The names that DNS gave addresses outside. */
  readonly names: Pick<DestinationNames, 'all' | 'forClient'>
}

/**
 * The connection as policy sees it, with what the client addressed if DNAT has changed it, and the names of both ends. A destination that
 * is no endpoint has all the names that DNS gave it: rules judge by them, whoever asked.
 */
export function subjectOf({ model, names }: SubjectDeps, tuple: Tuple, addressed: Addressed | null): Subject {
  const packet = packetOf(tuple, addressed)
  const { sourceIp, destinationIp } = packet
  const destination = model.endpointByIp(destinationIp)
  const domains = destination === null ? names.forClient(sourceIp, destinationIp) : []
  return {
    packet: domains.length === 0 ? packet : { ...packet, domains: names.all(destinationIp) },
    ...(hasPorts(tuple.protocol) ? {} : { discriminator: tuple.sourcePort }),
    source: model.identify(sourceIp, destination),
    destination: model.identify(destinationIp, model.endpointByIp(sourceIp), domains),
    ...(domains.length === 0 ? {} : { domains }),
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
