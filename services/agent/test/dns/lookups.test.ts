import { encode, type Packet, streamEncode } from 'dns-packet'
import { expect, test } from 'vitest'
import { createLookups } from '../../src/dns/lookups.ts'
import { ipv4Packet, tcpSegment, udpDatagram } from '../flows/packets.ts'

const client = '10.0.0.1'
const server = '10.0.0.53'

function query(port: number, id: number, name = 'www.example.com'): Buffer {
  const message = encode({ type: 'query', id, questions: [{ type: 'A', name }] })
  return ipv4Packet({ source: client, destination: server, protocol: 17, transport: udpDatagram(port, 53, message) })
}

const response = (id: number, name = 'www.example.com', addresses = ['192.0.2.1']): Packet => ({
  type: 'response',
  id,
  questions: [{ type: 'A', name }],
  answers: addresses.map((data) => ({ type: 'A', name, ttl: 5, data })),
})

const answer = (port: number, id: number) =>
  ipv4Packet({
    source: server,
    destination: client,
    protocol: 17,
    transport: udpDatagram(53, port, encode(response(id))),
  })

const segment = (sequence: number, payload: Uint8Array, flags?: number) =>
  ipv4Packet({
    source: server,
    destination: client,
    protocol: 6,
    transport: tcpSegment(53, 4000, sequence, payload, flags),
  })

test('a response is paired with its own request', () => {
  const { take } = createLookups()
  expect(take(query(1000, 1), 1_000n)).toMatchObject({ result: 'request', lookups: [] })
  expect(take(query(1001, 1), 2_000n)).toMatchObject({ result: 'request' })
  expect(take(answer(1001, 1), 5_000n)).toMatchObject({
    result: 'response',
    lookups: [{ client, server, latency: 3000 }],
  })
  expect(take(answer(1000, 1), 7_000n)).toMatchObject({ lookups: [{ latency: 6000 }] })
  expect(take(answer(1000, 1), 9_000n)).toMatchObject({ lookups: [{ latency: null }] })
  expect(take(Buffer.from('junk'), 0n)).toMatchObject({ result: 'malformed' })
})

test('a response over TCP is read from one segment, or from many', () => {
  const many = Array.from({ length: 100 }, (_, i) => `192.0.2.${i}`)
  const message = streamEncode(response(7, 'large.example.com', many))
  for (const size of [message.length, 1000, 100, 7, 1]) {
    const { take } = createLookups()
    expect(take(segment(0xffff_fff0, new Uint8Array(), 0x12), 0n)).toMatchObject({ result: 'partial' })
    const results = []
    for (let at = 0; at < message.length; at += size) {
      const received = segment((0xffff_fff1 + at) >>> 0, message.subarray(at, at + size))
      results.push(take(received, 0n))
      // The next datagram of the kernel comes into the same buffer.
      received.fill(0xff)
    }
    expect(results.map(({ result }) => result)).toEqual([
      ...Array.from({ length: results.length - 1 }, () => 'partial'),
      'response',
    ])
    expect(results.at(-1)?.lookups[0]?.message.addresses).toHaveLength(100)
  }
})

test('two responses in one segment are both read; a segment sent again is not read again', () => {
  const { take } = createLookups()
  const both = Buffer.concat([streamEncode(response(1)), streamEncode(response(2))])
  expect(take(segment(100, both), 0n).lookups.map(({ message }) => message.id)).toEqual([1, 2])
  expect(take(segment(100, both), 0n)).toMatchObject({ result: 'partial', lookups: [] })
})

test('a stream with a hole is given up, not read wrongly; the next connection is read', () => {
  const { take } = createLookups()
  const message = streamEncode(response(1))
  take(segment(100, new Uint8Array(), 0x12), 0n)
  expect(take(segment(101, message.subarray(0, 10)), 0n)).toMatchObject({ result: 'partial' })
  expect(take(segment(131, message.subarray(30)), 0n)).toMatchObject({ result: 'lost' })
  expect(take(segment(101, message), 0n)).toMatchObject({ result: 'lost' })
  take(segment(7, new Uint8Array(), 0x12), 0n)
  expect(take(segment(8, message), 0n)).toMatchObject({ result: 'response' })
})
