import type { Identity, Packet, ServicePort, TraceEntry, Verdict } from '../policy/model.ts'

/** What happened to one connection, as seen by the end that reports it, since the update before. */
export interface FlowUpdate {
  readonly reporter: 'src' | 'dst'
  readonly action: Verdict
  /** The connection after DNAT; ports are null where the protocol has none. */
  readonly packet: Packet
  /** Rules that decided this direction when the connection started. */
  readonly enforced: readonly TraceEntry[]
  /** Rules of host endpoints that acted on the way, where they are to be told. */
  readonly transit?: readonly TraceEntry[]
  /** Service addressed before DNAT. */
  readonly service: ServicePort | null
  /** Tells connections of one 5-tuple apart where ports do not (ICMP echo id); part of what `num_flows` counts. */
  readonly discriminator?: number
  /** Names of both ends when they were taken at the start of the connection; looked up now when absent. */
  readonly source?: Identity
  readonly destination?: Identity
  /** Names whose DNS answers held the destination; the first ones go first when there are too many. */
  readonly domains?: readonly string[]
  /** Source port that SNAT gave the connection on this node. */
  readonly natPort?: number
  /** How the reporting end's TCP socket is; it knows its own sending only. */
  readonly tcp?: TcpSample
  /** Counters relative to the reporting end. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
  readonly packetsOut: number
  /** Connections that started and ended with this update. */
  readonly started: number
  readonly completed: number
  /** The same object with each update of one end of a connection, for the aggregator to write on: it counts ends that it cannot remember. */
  readonly mark?: FlowMark
}

/** The interval in which an end of a connection was last counted. */
export interface FlowMark {
  interval: number
}

/** A TCP socket at one moment, and what it has lost since the sample before. */
export interface TcpSample {
  /** Segments. */
  readonly congestionWindow: number
  /** Microseconds; 0 when not measured yet. */
  readonly smoothRtt: number
  readonly minRtt: number
  /** Bytes. */
  readonly mss: number
  /** Segments sent again, and segments that were taken for lost, since the sample before. */
  readonly retransmissions: number
  readonly lost: number
}
