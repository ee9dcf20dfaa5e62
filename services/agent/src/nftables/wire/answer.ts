import { decodeAttributes, decodeMessages, errorOf, types } from '../../netlink/message.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Batch } from './batch.ts'

/** An error that the kernel told about one message of a batch. */
export interface AnsweredError {
  readonly sequence: number
  readonly errno: number
  /** Byte of the message that it is about; 0 when the kernel does not say. */
  readonly offset: number
  /** The kernel's own words; mostly none. */
  readonly text: string
}

/** Flags and attributes of errors (linux/netlink.h). */
const capped = 0x100
const hasAttributes = 0x200
const errorAttributes = { text: 1, offset: 2 } as const
const messageHeader = 16
/** Receives that give nothing until the kernel is taken to be silent. */
const longestSilence = 50

/**
 * Reads what the kernel says about a batch that was sent. It has all been said when sending returns: errors in the order of their messages,
 * then the answer that the last one asked for. Null when no answer came at all.
 */
export function readAnswers(socket: Pick<NetlinkSocket, 'receive'>, batch: Batch): AnsweredError[] | null {
  const errors: AnsweredError[] = []
  let lost = false
  for (let silence = 0; silence < longestSilence; silence += 1) {
    const datagram = socket.receive()
    if (datagram === 'overrun') lost = true
    // Of very many errors the kernel tells as many as fit; the first ones are what matters.
    if (datagram === null && lost && errors.length > 0) return errors
    if (datagram === null || datagram === 'overrun') continue
    silence = 0
    for (const message of decodeMessages(datagram)) {
      if (message.type !== types.error) continue
      const { sequence } = message
      if (sequence < batch.firstSequence || sequence > batch.lastSequence) continue
      const errno = errorOf(message)
      if (errno !== 0) errors.push({ sequence, errno, ...explanation(message.flags, message.payload) })
      // An error of the message that begins the batch is about all of it.
      if (sequence === batch.lastSequence || (sequence === batch.firstSequence && errno !== 0)) return errors
    }
  }
  return null
}

function explanation(flags: number, payload: Buffer): { offset: number; text: string } {
  if ((flags & hasAttributes) === 0) return { offset: 0, text: '' }
  const original = (flags & capped) !== 0 || payload.length < 8 ? messageHeader : payload.readUInt32LE(4)
  const attributes = decodeAttributes(payload, 4 + ((original + 3) & ~3))
  const offset = attributes.get(errorAttributes.offset)
  const text = attributes.get(errorAttributes.text)
  return {
    offset: offset !== undefined && offset.length >= 4 ? offset.readUInt32LE(0) : 0,
    text: text === undefined ? '' : text.subarray(0, -1).toString(),
  }
}
