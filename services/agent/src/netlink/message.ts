/**
 * The wire form of netlink (RFC 3549, linux/netlink.h): messages of a 16-byte header and attributes of type, length and value,
 * all padded to 4 bytes. Header fields are in host order, which is little endian on every machine Node runs on with Linux;
 * attributes of netfilter are big endian.
 */

/** A netlink message without its header. */
export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly payload: Buffer
}

/** Flags of requests (netlink(7)). */
export const flags = { request: 0x1, multi: 0x2, ack: 0x4, dump: 0x300 } as const
/** Types of control messages (netlink(7)). */
export const types = { error: 2, done: 3, overrun: 4 } as const

/** Netfilter's subsystems; a message type is `subsystem << 8 | message`. */
export const subsystems = { conntrack: 1, queue: 3, log: 4, tables: 10 } as const

const headerSize = 16
/** The netfilter header behind netlink's: family, version, resource id. */
export const genericHeaderSize = 4

const align = (length: number) => (length + 3) & ~3

/** One attribute: type and value. */
export type Attribute = readonly [type: number, value: Uint8Array]

/** One byte. */
export function u8(value: number): Uint8Array {
  return Uint8Array.of(value)
}

/** Two bytes, network order. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}

/** Four bytes, network order. */
export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** A netfilter request. `resource` is the log group, or 0. */
export function encodeRequest(request: {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly family: number
  readonly resource: number
  readonly attributes: readonly Attribute[]
}): Buffer {
  const size = request.attributes.reduce(
    (sum, [, value]) => sum + align(4 + value.length),
    headerSize + genericHeaderSize,
  )
  const message = Buffer.alloc(size)
  message.writeUInt32LE(size, 0)
  message.writeUInt16LE(request.type, 4)
  message.writeUInt16LE(request.flags, 6)
  message.writeUInt32LE(request.sequence, 8)
  message.writeUInt8(request.family, headerSize)
  message.writeUInt16BE(request.resource, headerSize + 2)
  let at = headerSize + genericHeaderSize
  for (const [type, value] of request.attributes) {
    message.writeUInt16LE(4 + value.length, at)
    message.writeUInt16LE(type, at + 2)
    message.set(value, at + 4)
    at += align(4 + value.length)
  }
  return message
}

/** The messages of one datagram; a message that does not fit ends the walk. Payloads are views, not copies. */
export function* decodeMessages(datagram: Buffer): Generator<NetlinkMessage> {
  let at = 0
  while (at + headerSize <= datagram.length) {
    const length = datagram.readUInt32LE(at)
    if (length < headerSize || at + length > datagram.length) return
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + headerSize, at + length),
    }
    at += align(length)
  }
}

/** Attributes by type; of two with one type the last wins, one that does not fit ends the walk. Values are views. */
export function decodeAttributes(bytes: Buffer, from = 0): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  let at = from
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(at)
    if (length < 4 || at + length > bytes.length) break
    // The two highest bits say "nested" and "network order"; they are no part of the type.
    attributes.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length))
    at += align(length)
  }
  return attributes
}

/** The error number of an error message: 0 acknowledges. */
export function errorOf(message: NetlinkMessage): number {
  return message.payload.length >= 4 ? -message.payload.readInt32LE(0) : 0
}
