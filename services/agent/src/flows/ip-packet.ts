import { hasPorts } from '@margay/schemas/resources/protocol'
import { formatIp, type Tuple } from '../netlink/conntrack.ts'

/** The headers of a logged packet. */
export interface IpPacket {
  readonly tuple: Tuple
  /** Bytes of the whole packet as its IP header says, also when the log cut it. */
  readonly length: number
  /** Where the payload of the transport header's parent begins: the transport header itself. */
  readonly transport: number
}

/** IPv6 extension headers that may stand before the transport header (RFC 8200): hop-by-hop, routing, destination options. */
const skippable = new Set([0, 43, 60])
const fragment = 44

/** Reads network and transport headers; null when they are not whole. Ports are 0 for protocols without any. */
export function parseIpPacket(bytes: Buffer): IpPacket | null {
  if (bytes.length < 20) return null
  const version = (bytes[0] as number) >> 4
  if (version === 4) {
    const transport = ((bytes[0] as number) & 0xf) * 4
    if (transport < 20) return null
    return withTransport(
      bytes,
      bytes.subarray(12, 16),
      bytes.subarray(16, 20),
      bytes[9] as number,
      transport,
      bytes.readUInt16BE(2),
    )
  }
  if (version !== 6 || bytes.length < 40) return null
  let next = bytes[6] as number
  let at = 40
  while (skippable.has(next) || next === fragment) {
    if (at + 8 > bytes.length) return null
    const size = next === fragment ? 8 : ((bytes[at + 1] as number) + 1) * 8
    next = bytes[at] as number
    at += size
  }
  return withTransport(bytes, bytes.subarray(8, 24), bytes.subarray(24, 40), next, at, 40 + bytes.readUInt16BE(4))
}

function withTransport(
  bytes: Buffer,
  source: Buffer,
  destination: Buffer,
  protocol: number,
  transport: number,
  length: number,
): IpPacket | null {
  let sourcePort = 0
  let destinationPort = 0
  if (hasPorts(protocol)) {
    if (transport + 4 > bytes.length) return null
    sourcePort = bytes.readUInt16BE(transport)
    destinationPort = bytes.readUInt16BE(transport + 2)
  } else if (protocol === 1 || protocol === 58) {
    if (transport + 8 > bytes.length) return null
    destinationPort = bytes.readUInt16BE(transport)
    sourcePort = bytes.readUInt16BE(transport + 4)
  }
  return {
    tuple: { source: formatIp(source), destination: formatIp(destination), protocol, sourcePort, destinationPort },
    length,
    transport,
  }
}

/** One text for one connection, the same from a logged packet and from the connection table. */
export const tupleKey = (t: Tuple) => `${t.protocol} ${t.source} ${t.sourcePort} ${t.destination} ${t.destinationPort}`
