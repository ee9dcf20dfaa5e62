import {
  type Attribute,
  decodeAttributes,
  encodeRequest,
  flags,
  genericHeaderSize,
  subsystems,
  u8,
  u16,
  u32,
} from './message.ts'

/** NFLOG, the kernel's way to hand logged packets to a process (linux/netfilter/nfnetlink_log.h). */

const messageTypes = { packet: 0, config: 1 } as const
const config = { command: 1, mode: 2, bufferSize: 3, timeout: 4, threshold: 5, flags: 6 } as const
const bind = 1
const copyPacket = 2
const numbered = 1
const attributes = { timestamp: 3, payload: 9, prefix: 10, sequence: 12 } as const

/** Type of a message that holds a logged packet. */
export const nflogPacketType = (subsystems.log << 8) | messageTypes.packet

/** A packet that a rule logged. */
export interface LoggedPacket {
  readonly group: number
  readonly prefix: string
  /** From the network header on, cut at the rule's snaplen. A view of the receive buffer. */
  readonly payload: Buffer
  /** Counts the packets of the group from 0, those that could not be handed over too; null when the kernel does not number them. */
  readonly sequence: number | null
}

/** Requests that bind a group to the socket and set how its packets are handed over, in order. */
export function bindGroup(
  group: number,
  options: { readonly threshold: number; readonly copyBytes: number },
): Buffer[] {
  const request = (list: readonly Attribute[], sequence: number) =>
    encodeRequest({
      type: (subsystems.log << 8) | messageTypes.config,
      flags: flags.request | flags.ack,
      sequence,
      family: 0,
      resource: group,
      attributes: list,
    })
  return [
    request([[config.command, u8(bind)]], group * 10 + 1),
    request([[config.mode, Uint8Array.of(...u32(options.copyBytes), copyPacket, 0)]], group * 10 + 2),
    request(
      [
        [config.bufferSize, u32(128 * 1024)],
        [config.threshold, u32(options.threshold)],
        // Hundredths of a second until a datagram that is not full is handed over.
        [config.timeout, u32(1)],
        [config.flags, u16(numbered)],
      ],
      group * 10 + 3,
    ),
  ]
}

/** Reads the payload of a packet message; null when a part is missing. */
export function decodePacket(payload: Buffer): LoggedPacket | null {
  if (payload.length < genericHeaderSize) return null
  const found = decodeAttributes(payload, genericHeaderSize)
  const prefix = found.get(attributes.prefix)
  const bytes = found.get(attributes.payload)
  if (prefix === undefined || bytes === undefined) return null
  const end = prefix.indexOf(0)
  return {
    group: payload.readUInt16BE(2),
    prefix: prefix.toString('latin1', 0, end < 0 ? prefix.length : end),
    payload: bytes,
    sequence: found.get(attributes.sequence)?.readUInt32BE(0) ?? null,
  }
}

/** Counts packets that are missing from the numbers of their groups, which are 32 bits wide and begin with 0 when the group is bound. */
export function createGapCounter(): { count(packet: Pick<LoggedPacket, 'group' | 'sequence'>): number } {
  const expected = new Map<number, number>()
  return {
    count({ group, sequence }) {
      if (sequence === null) return 0
      const missing = (sequence - (expected.get(group) ?? 0)) >>> 0
      expected.set(group, (sequence + 1) >>> 0)
      return missing
    },
  }
}

/** For tests: the payload of a packet message as the kernel builds it. */
export function encodePacket(packet: LoggedPacket): Buffer {
  return encodeRequest({
    type: nflogPacketType,
    flags: 0,
    sequence: 0,
    family: 2,
    resource: packet.group,
    attributes: [
      [attributes.prefix, Buffer.from(`${packet.prefix}\0`)],
      [attributes.payload, packet.payload],
      ...(packet.sequence === null ? [] : ([[attributes.sequence, u32(packet.sequence)]] as const)),
    ],
  })
}
