/** Payload of one exchange, bytes. */
export interface Traffic {
  readonly sent: number
  readonly received: number
}

/** What passes on the wire, IP headers included. */
export interface Counters {
  readonly packetsThere: number
  readonly packetsBack: number
  readonly bytesThere: number
  readonly bytesBack: number
}

/** Bytes of IPv4 and UDP headers; of IPv4 and TCP headers with the options that Linux sends; of a SYN with its options; of a bare reset. */
const headers = { udp: 28, tcp: 52, syn: 60, reset: 40 } as const

/** Packets that nobody answers: one try. */
export function unanswered(protocol: 'tcp' | 'udp', traffic: Traffic): Counters {
  const bytesThere = protocol === 'tcp' ? headers.syn : headers.udp + traffic.sent
  return { packetsThere: 1, packetsBack: 0, bytesThere, bytesBack: 0 }
}

/**
 * A whole exchange: one datagram each way, or a TCP connection that is opened, carries a request and an answer and is closed
 * (SYN, ACK, request, ACK, FIN there; SYN-ACK, ACK, answer, FIN back). Null traffic: the port is closed, a reset comes back.
 */
export function exchange(protocol: 'tcp' | 'udp', traffic: Traffic | null): Counters {
  if (traffic === null) return { packetsThere: 1, packetsBack: 1, bytesThere: headers.syn, bytesBack: headers.reset }
  if (protocol === 'udp') {
    const { sent, received } = traffic
    return { packetsThere: 1, packetsBack: 1, bytesThere: headers.udp + sent, bytesBack: headers.udp + received }
  }
  return {
    packetsThere: 5,
    packetsBack: 4,
    bytesThere: headers.syn + 4 * headers.tcp + traffic.sent,
    bytesBack: headers.syn + 3 * headers.tcp + traffic.received,
  }
}
