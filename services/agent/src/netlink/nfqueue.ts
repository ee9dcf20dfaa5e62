import {
  type Attribute,
  decodeAttributes,
  encodeRequest,
  flags,
  genericHeaderSize,
  subsystems,
  u8,
  u32,
} from './message.ts'

/** NFQUEUE, the kernel's way to have a process decide about packets (linux/netfilter/nfnetlink_queue.h). */

const messageTypes = { packet: 0, verdict: 1, config: 2, batchVerdict: 3 } as const
const config = { command: 1, parameters: 2, maxLength: 3, mask: 4, flags: 5 } as const
const commands = { bind: 1, unbind: 2 } as const
const copyPacket = 2
const failOpen = 1
const attributes = {
  packet: 1,
  verdict: 2,
  mark: 3,
  inputInterface: 5,
  outputInterface: 6,
  payload: 10,
  wholeLength: 13,
} as const
const verdicts = { drop: 0, accept: 1, repeat: 4 } as const

/** Type of a message that holds a packet to be decided. */
export const nfqueuePacketType = (subsystems.queue << 8) | messageTypes.packet

/** What becomes of a queued packet: dropped, on with the rest of the rules' hooks, or once more through the hook that queued it. */
export type QueueVerdict = keyof typeof verdicts

/** A packet that waits for a verdict. */
export interface QueuedPacket {
  readonly queue: number
  /** Names the packet in its verdict. */
  readonly id: number
  /** Number of the netfilter hook that queued it. */
  readonly hook: number
  readonly mark: number
  /** Numbers of its interfaces; 0: none. */
  readonly inputInterface: number
  readonly outputInterface: number
  /** From the network header on, cut at `copyBytes`. A view of the receive buffer. */
  readonly payload: Buffer
  /** Bytes of the whole packet. */
  readonly length: number
}

function request(type: number, queue: number, sequence: number, list: readonly Attribute[], ack = true): Buffer {
  return encodeRequest({
    type: (subsystems.queue << 8) | type,
    flags: flags.request | (ack ? flags.ack : 0),
    sequence,
    family: 0,
    resource: queue,
    attributes: list,
  })
}

/**
 * Requests that bind a queue to the socket and set how packets are handed over, in order; each is acknowledged. Of packets the first
 * `copyBytes` come along (65,531 at most). `maxLength` packets wait at most; one more is dropped, or, with `failOpen`, passes.
 */
export function bindQueue(
  queue: number,
  options: { readonly copyBytes: number; readonly maxLength: number; readonly failOpen: boolean },
): Buffer[] {
  const flag = u32(failOpen)
  return [
    request(messageTypes.config, queue, 1, [[config.command, Uint8Array.of(commands.bind, 0, 0, 0)]]),
    request(messageTypes.config, queue, 2, [
      [config.parameters, Uint8Array.of(...u32(options.copyBytes), ...u8(copyPacket))],
      [config.maxLength, u32(options.maxLength)],
      ...(options.failOpen
        ? ([
            [config.flags, flag],
            [config.mask, flag],
          ] as const)
        : []),
    ]),
  ]
}

/** The request that gives a queue back: what waits is dropped, what comes is treated as if nobody listened. */
export function unbindQueue(queue: number): Buffer {
  return request(messageTypes.config, queue, 3, [[config.command, Uint8Array.of(commands.unbind, 0, 0, 0)]])
}

/** Reads the payload of a packet message; null when a part is missing. */
export function decodeQueuedPacket(payload: Buffer): QueuedPacket | null {
  if (payload.length < genericHeaderSize) return null
  const found = decodeAttributes(payload, genericHeaderSize)
  const header = found.get(attributes.packet)
  const packet = found.get(attributes.payload)
  if (header === undefined || header.length < 7 || packet === undefined) return null
  const number = (type: number) => {
    const value = found.get(type)
    return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : 0
  }
  return {
    queue: payload.readUInt16BE(2),
    id: header.readUInt32BE(0),
    hook: header.readUInt8(6),
    mark: number(attributes.mark),
    inputInterface: number(attributes.inputInterface),
    outputInterface: number(attributes.outputInterface),
    payload: packet,
    length: number(attributes.wholeLength) || packet.length,
  }
}

/** The verdict about one packet. With `mark` its mark is set too. The kernel does not acknowledge it. */
export function encodeVerdict(queue: number, id: number, verdict: QueueVerdict, mark?: number): Buffer {
  return request(messageTypes.verdict, queue, 0, verdictAttributes(id, verdict, mark), false)
}

/** The verdict about all packets that wait up to one, by the order they were queued in. */
export function encodeBatchVerdict(queue: number, lastId: number, verdict: QueueVerdict, mark?: number): Buffer {
  return request(messageTypes.batchVerdict, queue, 0, verdictAttributes(lastId, verdict, mark), false)
}

function verdictAttributes(id: number, verdict: QueueVerdict, mark: number | undefined): Attribute[] {
  const decided: Attribute = [attributes.verdict, Uint8Array.of(...u32(verdicts[verdict]), ...u32(id))]
  return mark === undefined ? [decided] : [decided, [attributes.mark, u32(mark)]]
}
