import { expect, test } from 'vitest'
import { decodeEntry } from '../../src/netlink/conntrack.ts'
import { type Attribute, encodeRequest, u16, u32 } from '../../src/netlink/message.ts'

/** What the kernel told of the end of a TCP connection to a closed port (Linux 6.18). */
const capturedTcp =
  '020000003400018014000180080001007f000001080002007f0000011c000280050001000600000006000200e79600000600' +
  '0300006300003400028014000180080001007f000001080002007f0000011c00028005000100060000000600020000630000' +
  '06000300e796000008000c00982142d8080003000000020808000700000000781c0009800c00010000000000000000010c00' +
  '0200000000000000003c1c000a800c00010000000000000000010c00020000000000000000281c0014800c00010018eae963' +
  '48a0de860c00020018eae96348a174d0100004800c00018005000100080000000c001b0018eae96348a17515'

/** Attributes packed as the value of another, as the kernel nests them. */
function nest(attributes: readonly Attribute[]): Uint8Array {
  return encodeRequest({ type: 0, flags: 0, sequence: 0, family: 0, resource: 0, attributes }).subarray(20)
}

const nested = (type: number, attributes: readonly Attribute[]): Attribute => [type | 0x8000, nest(attributes)]
const u64 = (value: number) => Uint8Array.of(...u32(0), ...u32(value))
const ipv4 = (text: string) => Uint8Array.from(text.split('.').map(Number))

function entry(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat([Buffer.alloc(4), nest(attributes)])
}

const tuple = (source: string, destination: string, ports: [number, number]): Attribute[] => [
  nested(1, [
    [1, ipv4(source)],
    [2, ipv4(destination)],
  ]),
  nested(2, [
    [1, Uint8Array.of(6)],
    [2, u16(ports[0])],
    [3, u16(ports[1])],
  ]),
]

test('an entry tells both directions, counters, state and id', () => {
  const decoded = decodeEntry(
    entry([
      nested(1, tuple('10.0.0.1', '10.96.0.10', [40000, 80])),
      nested(2, tuple('10.0.0.2', '10.0.0.1', [8080, 40000])),
      nested(4, [nested(1, [[1, Uint8Array.of(7)]])]),
      nested(9, [
        [1, u64(5)],
        [2, u64(500)],
      ]),
      nested(10, [
        [1, u64(4)],
        [2, u64(4000)],
      ]),
      [12, u32(77)],
    ]),
  )
  expect(decoded).toEqual({
    id: 77,
    original: { source: '10.0.0.1', destination: '10.96.0.10', protocol: 6, sourcePort: 40000, destinationPort: 80 },
    reply: { source: '10.0.0.2', destination: '10.0.0.1', protocol: 6, sourcePort: 8080, destinationPort: 40000 },
    originalPackets: 5,
    originalBytes: 500,
    replyPackets: 4,
    replyBytes: 4000,
    tcpState: 7,
  })
})

test('an entry of a kernel that does not count has zero counters; one without tuples is refused', () => {
  const tuples = [nested(1, tuple('10.0.0.1', '10.0.0.2', [1, 2])), nested(2, tuple('10.0.0.2', '10.0.0.1', [2, 1]))]
  expect(decodeEntry(entry(tuples))).toMatchObject({ originalPackets: 0, replyBytes: 0, tcpState: null, id: 0 })
  expect(decodeEntry(entry(tuples.slice(1)))).toBeNull()
  expect(decodeEntry(Buffer.alloc(2))).toBeNull()
})

test('an entry as the kernel sent it is read', () => {
  const decoded = decodeEntry(Buffer.from(capturedTcp, 'hex'))
  expect(decoded).toMatchObject({
    original: { source: '127.0.0.1', destination: '127.0.0.1', protocol: 6, destinationPort: 99 },
    reply: { protocol: 6, sourcePort: 99 },
    originalPackets: 1,
    originalBytes: 60,
    replyPackets: 1,
    replyBytes: 40,
    tcpState: 8,
  })
})
