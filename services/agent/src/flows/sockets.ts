import type { TcpSample } from '@margay/schemas'
import type { SocketState } from '../bpf/tcp-statistics.ts'
import type { Tuple } from '../netlink/conntrack.ts'
import { tupleKey } from './ip-packet.ts'

/** How the TCP sockets of pods are, as the kernel told with the last readings of the table of connections. */
export interface Sockets {
  take(states: readonly SocketState[]): void
  /** The socket that sends these packets (as it sends them: before DNAT); null when it was silent, or is none of a pod here. */
  at(sent: Tuple): SocketState | null
}

/** What of a socket's losses has been told. */
export interface ToldLosses {
  retransmissions: number
  lost: number
}

/** Makes an empty memory. */
export function createSockets(): Sockets {
  // A connection may be told one reading late, when its verdict comes late.
  let older: ReadonlyMap<string, SocketState> = new Map()
  let newest: ReadonlyMap<string, SocketState> = older
  return {
    take(states) {
      older = newest
      newest = new Map(states.map((state) => [tupleKey({ ...state, protocol: 6 }), state]))
    },
    at(sent) {
      if (sent.protocol !== 6 || newest.size + older.size === 0) return null
      const key = tupleKey(sent)
      return newest.get(key) ?? older.get(key) ?? null
    },
  }
}

/** What a socket adds to what was told of it, which is brought up to date. */
export function sampleOf(state: SocketState, told: ToldLosses): TcpSample {
  const { congestionWindow, smoothRtt, minRtt, mss, retransmissions, lost } = state
  const sample = {
    congestionWindow,
    smoothRtt,
    minRtt,
    mss,
    retransmissions: Math.max(0, retransmissions - told.retransmissions),
    lost: Math.max(0, lost - told.lost),
  }
  told.retransmissions = retransmissions
  told.lost = lost
  return sample
}
