import ipaddr from 'ipaddr.js'
import { decodeAttributes, encodeRequest, flags, genericHeaderSize, subsystems } from './message.ts'

/** The kernel's table of connections over netlink (linux/netfilter/nfnetlink_conntrack.h). */

const messageTypes = { create: 0, get: 1, destroy: 2 } as const
/** Type of a message that tells of a connection. */
export const conntrackEntryType = (subsystems.conntrack << 8) | messageTypes.create
/** Type of a message that tells of the end of one. */
export const conntrackDestroyType = (subsystems.conntrack << 8) | messageTypes.destroy

/** Bit mask of the multicast group that tells the end of connections. */
export const destroyGroup = 1 << 2

/** First TCP state that counts as ended: TIME_WAIT, then CLOSE. */
export const tcpTimeWait = 7

/** One direction of a connection. For ICMP, `sourcePort` is the echo id and `destinationPort` is `type << 8 | code`. */
export interface Tuple {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
}

/** A connection as the kernel tells it. */
export interface ConntrackEntry {
  readonly id: number
  /** As the client sent it, before DNAT. */
  readonly original: Tuple
  /** As answers come: its source is where the connection really went. */
  readonly reply: Tuple
  readonly originalPackets: number
  readonly originalBytes: number
  readonly replyPackets: number
  readonly replyBytes: number
  /** Null for other protocols. */
  readonly tcpState: number | null
}

/** A request for all entries of both families. */
export function dumpRequest(sequence: number): Buffer {
  return encodeRequest({
    type: (subsystems.conntrack << 8) | messageTypes.get,
    flags: flags.request | flags.dump,
    sequence,
    family: 0,
    resource: 0,
    attributes: [],
  })
}

const cta = { original: 1, reply: 2, protocolInfo: 4, originalCounters: 9, replyCounters: 10, id: 12 } as const

/** Reads an entry from the payload of a message; null when a part that every entry has is missing. */
export function decodeEntry(payload: Buffer): ConntrackEntry | null {
  if (payload.length < genericHeaderSize) return null
  const found = decodeAttributes(payload, genericHeaderSize)
  const original = decodeTuple(found.get(cta.original))
  const reply = decodeTuple(found.get(cta.reply))
  if (original === null || reply === null) return null
  const [originalPackets, originalBytes] = decodeCounters(found.get(cta.originalCounters))
  const [replyPackets, replyBytes] = decodeCounters(found.get(cta.replyCounters))
  const info = found.get(cta.protocolInfo)
  const tcp = info === undefined ? undefined : decodeAttributes(info).get(1)
  const id = found.get(cta.id)
  return {
    id: id !== undefined && id.length >= 4 ? id.readUInt32BE(0) : 0,
    original,
    reply,
    originalPackets,
    originalBytes,
    replyPackets,
    replyBytes,
    tcpState: tcp === undefined ? null : (decodeAttributes(tcp).get(1)?.[0] ?? null),
  }
}

function decodeTuple(bytes: Buffer | undefined): Tuple | null {
  if (bytes === undefined) return null
  const parts = decodeAttributes(bytes)
  const addresses = parts.get(1)
  const transport = parts.get(2)
  if (addresses === undefined || transport === undefined) return null
  const ip = decodeAttributes(addresses)
  const source = ip.get(1) ?? ip.get(3)
  const destination = ip.get(2) ?? ip.get(4)
  const proto = decodeAttributes(transport)
  const number = proto.get(1)
  if (source === undefined || destination === undefined || number === undefined) return null
  const icmpType = proto.get(5) ?? proto.get(8)
  const icmpCode = proto.get(6) ?? proto.get(9)
  return {
    source: formatIp(source),
    destination: formatIp(destination),
    protocol: number[0] ?? 0,
    sourcePort: readPort(proto.get(2) ?? proto.get(4) ?? proto.get(7)),
    destinationPort: icmpType === undefined ? readPort(proto.get(3)) : ((icmpType[0] ?? 0) << 8) | (icmpCode?.[0] ?? 0),
  }
}

const readPort = (bytes: Buffer | undefined) => (bytes !== undefined && bytes.length >= 2 ? bytes.readUInt16BE(0) : 0)

function decodeCounters(bytes: Buffer | undefined): [packets: number, bytes: number] {
  if (bytes === undefined) return [0, 0]
  const counters = decodeAttributes(bytes)
  const read = (value: Buffer | undefined) =>
    value !== undefined && value.length >= 8 ? Number(value.readBigUInt64BE(0)) : 0
  return [read(counters.get(1)), read(counters.get(2))]
}

/** Text of an address of 4 or 16 bytes; other lengths give an empty text. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  if (bytes.length === 16) return ipaddr.fromByteArray([...bytes]).toString()
  return ''
}
