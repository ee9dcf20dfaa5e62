import { MargayError } from '@margay/kit/errors'
import {
  decodeAttributes,
  decodeMessages,
  encodeRequest,
  flags,
  genericHeaderSize,
  subsystems,
} from '../netlink/message.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { openTables } from './wire/netlink-writer.ts'

const getGeneration = (subsystems.tables << 8) | 16
const newGeneration = (subsystems.tables << 8) | 15
const generationId = 1

/** Reads the number of the present rule set of a network namespace; every nftables transaction raises it. Takes some 30 microseconds. */
export function createGenerationReader(netns: string | null): { read(): number; close(): void } {
  let socket: NetlinkSocket | undefined
  let sequence = 0

  return {
    read() {
      socket ??= openTables(netns)
      sequence += 1
      socket.send(
        encodeRequest({ type: getGeneration, flags: flags.request, sequence, family: 0, resource: 0, attributes: [] }),
      )
      for (let tries = 0; tries < 10; tries += 1) {
        const datagram = socket.receive()
        if (datagram === null || datagram === 'overrun') continue
        for (const message of decodeMessages(datagram)) {
          if (message.type !== newGeneration || message.sequence !== sequence) continue
          const id = decodeAttributes(message.payload, genericHeaderSize).get(generationId)
          if (id !== undefined && id.length >= 4) return id.readUInt32BE(0)
        }
      }
      throw new MargayError('NETLINK_FAILED', 'the kernel does not tell the generation of its rules')
    },
    close() {
      socket?.close()
      socket = undefined
    },
  }
}
