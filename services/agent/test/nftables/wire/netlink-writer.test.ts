import { expect, test } from 'vitest'
import { decodeMessages } from '../../../src/netlink/message.ts'
import type { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { createNetlinkWriter } from '../../../src/nftables/wire/netlink-writer.ts'

/** An error message as the kernel writes it, of a socket that explains errors: -errno, the header of the request, the place. */
function errorMessage(sequence: number, errno: number, offset = 0): Buffer {
  const message = Buffer.alloc(offset === 0 ? 36 : 44)
  message.writeUInt32LE(message.length, 0)
  message.writeUInt16LE(2, 4)
  message.writeUInt16LE(0x100 | (offset === 0 ? 0 : 0x200), 6)
  message.writeUInt32LE(sequence, 8)
  message.writeInt32LE(-errno, 16)
  // The length of the request, which is not sent along.
  message.writeUInt32LE(60, 20)
  if (offset !== 0) {
    message.writeUInt16LE(8, 36)
    message.writeUInt16LE(2, 38)
    message.writeUInt32LE(offset, 40)
  }
  return message
}

/** A socket whose kernel says what it is given for each batch; `rooms` are the sizes of its send buffer. */
function kernel(answer: (sequences: number[]) => (Buffer | null | 'overrun')[]) {
  const rooms: number[] = []
  let said: (Buffer | null | 'overrun')[] = []
  const socket: NetlinkSocket = {
    largeBuffer: true,
    fd: -1,
    send(message) {
      said = answer([...decodeMessages(message)].map(({ sequence }) => sequence))
    },
    growSendBuffer: (bytes) => void rooms.push(bytes),
    request() {},
    receive: () => said.shift() ?? null,
    close() {},
  }
  return { rooms, open: () => socket }
}

const elements = {
  type: 'elements',
  op: 'add',
  kind: 'set',
  set: 's',
  spec: 'type inet_service; flags interval;',
  elements: ['80', '65535', '90-100'],
} as const

test('all that the kernel refused is told; elements by the place that it gives', () => {
  const { open } = kernel(([, first = 0, second = 0]) => [errorMessage(first, 2), errorMessage(second, 17, 112), null])
  const writer = createNetlinkWriter({ netns: null, table: 't', open })
  expect(() =>
    writer.commit([
      { type: 'chain', op: 'flush', chain: 'c', cause: 'np:a/b' },
      { ...elements, cause: 'ep:x' },
    ]),
  ).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(
        /^nothing of a transaction on table t was done: chain c, of np:a\/b, .*\(ENOENT\), and 1 more$/,
      ),
      details: {
        cause: 'np:a/b',
        refusals: [
          expect.objectContaining({ change: 0, errno: 2 }),
          expect.objectContaining({ change: 1, errno: 17, object: 'element 90-100 of set s', cause: 'ep:x' }),
        ],
      },
    }),
  )
})

test('a refusal of the whole batch is about the table', () => {
  const { open } = kernel(([begin = 0]) => [errorMessage(begin, 1)])
  expect(() => createNetlinkWriter({ netns: null, table: 't', open }).commit([elements])).toThrow(
    'the whole of table t was refused: not permitted: run as root (EPERM)',
  )
})

test('of more errors than the kernel can tell those that came are told', () => {
  const { open } = kernel(([, first = 0]) => [errorMessage(first, 2), 'overrun', null])
  expect(() => createNetlinkWriter({ netns: null, table: 't', open }).commit([elements, elements])).toThrow('ENOENT')
})

test('a kernel that says nothing has not done it', () => {
  const { open } = kernel(() => [])
  expect(() => createNetlinkWriter({ netns: null, table: 't', open }).commit([elements])).toThrow(
    expect.objectContaining({ code: 'NETLINK_FAILED', details: {} }),
  )
})

test('room to send grows with what is sent, and answers to earlier batches are passed over', () => {
  let last = 0
  const { open, rooms } = kernel((sequences) => {
    const stale = errorMessage(last, 0)
    last = sequences.at(-2) as number
    return [stale, errorMessage(last, 0)]
  })
  const writer = createNetlinkWriter({ netns: null, table: 't', open })
  const many = Array.from({ length: 1000 }, (_, index) => `${index}`)
  writer.elements(elements, 'add', ['1'])
  writer.elements(elements, 'add', ['2'])
  writer.elements(elements, 'add', many)
  writer.elements(elements, 'add', [])
  expect(rooms).toHaveLength(2)
  expect(rooms[1]).toBeGreaterThan(20_000)
})
