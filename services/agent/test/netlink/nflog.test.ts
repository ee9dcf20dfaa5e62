import { expect, test } from 'vitest'
import { parseIpPacket } from '../../src/flows/ip-packet.ts'
import { decodeMessages } from '../../src/netlink/message.ts'
import { bindGroup, createGapCounter, decodePacket, encodePacket } from '../../src/netlink/nflog.ts'

/** What the kernel told of a TCP SYN that a rule logged. */
const captured =
  '02000002080001000800030013000a00415045307c747c676e707c2d7c780000080005000000000108000b00000000000800' +
  '0e0000000000400009004500003cda704000400662497f0000017f000001e7960063e600e28d00000000a002ffd7fe300000' +
  '0204ffd70402080aea1dd255000000000103030a'

test('binding a group asks for the group, whole packets up to the limit, and quick delivery', () => {
  const [bind, mode, delivery] = bindGroup(2, { threshold: 100, copyBytes: 256 })
  expect(bind?.toString('hex')).toBe('1c000000010405001500000000000000' + '00000002' + '0500010001000000')
  expect(mode?.toString('hex')).toBe('20000000010405001600000000000000' + '00000002' + '0a000200000001000200' + '0000')
  expect(delivery?.toString('hex')).toContain('0800050000000064')
})

test('a logged packet gives its group, prefix and bytes', () => {
  const [message] = [
    ...decodeMessages(encodePacket({ group: 1, prefix: 'API0|t', payload: Buffer.from('abc'), sequence: 7 })),
  ]
  expect(decodePacket(message?.payload as Buffer)).toEqual({
    group: 1,
    prefix: 'API0|t',
    payload: Buffer.from('abc'),
    sequence: 7,
  })
})

test('a message without payload is refused', () => {
  expect(decodePacket(Buffer.alloc(4))).toBeNull()
  expect(decodePacket(Buffer.alloc(1))).toBeNull()
})

test('a packet as the kernel sent it (Linux 6.18) is read', () => {
  const logged = decodePacket(Buffer.from(captured, 'hex'))
  expect(logged).toMatchObject({ group: 2, prefix: 'APE0|t|gnp|-|x' })
  expect(parseIpPacket(logged?.payload as Buffer)).toMatchObject({
    tuple: { source: '127.0.0.1', destination: '127.0.0.1', protocol: 6, destinationPort: 99 },
    length: 60,
  })
})

test('packets that were lost are counted by the gaps in the numbers of each group, beyond the last number too', () => {
  const gaps = createGapCounter()
  const lost = (group: number, ...numbers: (number | null)[]) =>
    numbers.map((sequence) => gaps.count({ group, sequence }))
  expect(lost(1, 3, 4, 7)).toEqual([3, 0, 2])
  expect(lost(2, 0, 0xffff_fffe, 1, null, 2)).toEqual([0, 0xffff_fffd, 2, 0, 0])
  expect(lost(1, 8)).toEqual([0])
})
