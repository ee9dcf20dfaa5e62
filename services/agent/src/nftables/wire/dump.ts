import { MargayError } from '@margay/kit/errors'
import {
  type Attribute,
  decodeAttributes,
  decodeMessages,
  encodeRequest,
  errorOf,
  flags,
  genericHeaderSize,
  types,
} from '../../netlink/message.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { families } from './protocol.ts'

/** Attributes of one object that the kernel told of. */
export type Told = ReadonlyMap<number, Buffer>

/** The dump was disturbed by a change: it may have gaps (linux/netlink.h). */
const interrupted = 0x10
/** ENOENT: there is no such table, chain or set. */
const absent = 2
const mostAttempts = 5

/**
 * All objects that a request of one kind gives, in the kernel's order; read again when a change came in between. Values are copies.
 * Nothing when the table, chain or set that the request names does not exist. Throws NETLINK_FAILED.
 */
export function dump(
  socket: Pick<NetlinkSocket, 'send' | 'receive'>,
  type: number,
  attributes: readonly Attribute[],
  sequence: () => number,
): Told[] {
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    const number = sequence()
    socket.send(
      encodeRequest({
        type,
        flags: flags.request | flags.dump,
        sequence: number,
        family: families.inet,
        resource: 0,
        attributes,
      }),
    )
    const told = readDump(socket, number)
    if (told !== null) return told
  }
  throw new MargayError('NETLINK_FAILED', 'the rules of the kernel change faster than they can be listed')
}

function readDump(socket: Pick<NetlinkSocket, 'receive'>, sequence: number): Told[] | null {
  const told: Told[] = []
  let isWhole = true
  for (let silence = 0; silence < 50; silence += 1) {
    const datagram = socket.receive()
    if (datagram === 'overrun') isWhole = false
    if (datagram === null || datagram === 'overrun') continue
    silence = 0
    for (const message of decodeMessages(datagram)) {
      if (message.sequence !== sequence) continue
      if ((message.flags & interrupted) !== 0) isWhole = false
      if (message.type === types.done) return isWhole ? told : null
      if (message.type === types.error) {
        const errno = errorOf(message)
        if (errno === absent) return []
        throw new MargayError('NETLINK_FAILED', `the kernel does not list its rules (errno ${errno})`)
      }
      told.push(decodeAttributes(Buffer.from(message.payload), genericHeaderSize))
    }
  }
  throw new MargayError('NETLINK_FAILED', 'the kernel does not answer a request to list its rules')
}

/** Text of an attribute without the zero byte that ends it. */
export const textOf = (value: Buffer | undefined) =>
  value === undefined ? '' : value.toString('utf8', 0, value.length - 1)
/** A number of four bytes; 0 when it is absent. */
export const numberOf = (value: Buffer | undefined) => (value === undefined ? 0 : value.readUInt32BE(0))
/** An attribute that holds text, as requests want it. */
export const textAttribute = (type: number, text: string): Attribute => [type, Buffer.from(`${text}\0`)]
