import { expect, test } from 'vitest'
import { parseIpPacket } from '../../src/flows/ip-packet.ts'
import { decodeMessages } from '../../src/netlink/message.ts'
import {
  bindQueue,
  decodeQueuedPacket,
  encodeBatchVerdict,
  encodeVerdict,
  nfqueuePacketType,
  unbindQueue,
} from '../../src/netlink/nfqueue.ts'

/** What the kernel told of a UDP packet that a rule of the output hook queued (Linux 6.18). */
const captured =
  '4f000000000300000000000000000000020000070b0001000000000208000300080006000000000127000a00450000231' +
  '2df4000401129e97f0000017f000001e16214e9000f683f6d617267617962'

test('binding a queue asks for it, then for packets up to the limit, its length, and that it fails open', () => {
  const requests = bindQueue(7, { copyBytes: 2048, maxLength: 100, failOpen: true })
  expect(requests.map((bytes) => bytes.toString('hex'))).toEqual([
    '1c000000' + '02030500' + '01000000' + '00000000' + '00000007' + '08000100' + '01000000',
    '38000000' +
      '02030500' +
      '02000000' +
      '00000000' +
      '00000007' +
      '09000200' +
      '0000080002000000' +
      '0800030000000064' +
      '0800050000000001' +
      '0800040000000001',
  ])
  const closed = bindQueue(7, { copyBytes: 2048, maxLength: 100, failOpen: false })
  expect(closed[1]?.length).toBe(40)
  expect(unbindQueue(7).toString('hex')).toContain('0800010002000000')
})

test('a packet as the kernel sent it is read', () => {
  const [message] = [...decodeMessages(Buffer.from(captured, 'hex'))]
  expect(message?.type).toBe(nfqueuePacketType)
  const packet = decodeQueuedPacket(message?.payload as Buffer)
  expect(packet).toMatchObject({
    queue: 7,
    id: 2,
    hook: 3,
    mark: 0,
    inputInterface: 0,
    outputInterface: 1,
    length: 35,
  })
  expect(parseIpPacket(packet?.payload as Buffer)).toMatchObject({
    tuple: { source: '127.0.0.1', destination: '127.0.0.1', protocol: 17, destinationPort: 5353 },
  })
})

test('a message without a packet is refused', () => {
  expect(decodeQueuedPacket(Buffer.alloc(2))).toBeNull()
  expect(decodeQueuedPacket(Buffer.alloc(4))).toBeNull()
})

test('a verdict names the packet, and may set its mark; one about many names the last', () => {
  expect(encodeVerdict(7, 258, 'accept').toString('hex')).toBe(
    '20000000' + '01030100' + '00000000' + '00000000' + '00000007' + '0c000200' + '0000000100000102',
  )
  expect(encodeVerdict(7, 258, 'repeat', 0x10000).toString('hex')).toContain(
    '0c000200' + '0000000400000102' + '0800030000010000',
  )
  expect(encodeBatchVerdict(7, 258, 'drop').toString('hex')).toContain('03030100')
})
