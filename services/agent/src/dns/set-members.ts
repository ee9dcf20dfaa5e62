import { formatIp } from '../netlink/conntrack.ts'
import { decodeAttributes, decodeMessages, encodeRequest, flags, genericHeaderSize, types } from '../netlink/message.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import {
  dataAttributes,
  elementAttributes,
  elementListAttributes,
  families,
  messages,
} from '../nftables/wire/protocol.ts'

/** Receives that give nothing until the kernel is taken to be silent. */
const longestSilence = 10

/** Reads the addresses in a set of the kernel; null when there is no such set, or it cannot be read. */
export function readMembers(
  socket: Pick<NetlinkSocket, 'send' | 'receive'>,
  request: { readonly table: string; readonly set: string; readonly sequence: number },
): string[] | null {
  const { table, set, sequence } = request
  socket.send(
    encodeRequest({
      type: messages.getElements,
      flags: flags.request | flags.dump,
      sequence,
      family: families.inet,
      resource: 0,
      attributes: [
        [elementListAttributes.table, Buffer.from(`${table}\0`)],
        [elementListAttributes.set, Buffer.from(`${set}\0`)],
      ],
    }),
  )
  const members: string[] = []
  for (let silence = 0; silence < longestSilence; ) {
    const datagram = socket.receive()
    if (datagram === null || datagram === 'overrun') {
      silence += 1
      continue
    }
    for (const message of decodeMessages(datagram)) {
      if (message.sequence !== sequence) continue
      if (message.type === types.error) return null
      if (message.type === types.done) return members
      if (message.type === messages.newElements) members.push(...membersOf(message.payload))
    }
  }
  return null
}

/** The keys in one message's list of elements. */
function* membersOf(payload: Buffer): Generator<string> {
  const list = decodeAttributes(payload, genericHeaderSize).get(elementListAttributes.elements) ?? Buffer.alloc(0)
  for (let at = 0; at + 4 <= list.length; ) {
    const length = list.readUInt16LE(at)
    if (length < 4) return
    const key = decodeAttributes(list.subarray(at + 4, at + length)).get(elementAttributes.key)
    const value = key === undefined ? undefined : decodeAttributes(key).get(dataAttributes.value)
    if (value !== undefined) yield formatIp(value)
    at += (length + 3) & ~3
  }
}
