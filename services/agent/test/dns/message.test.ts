import { encode } from 'dns-packet'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseDnsMessage } from '../../src/dns/message.ts'

const response = encode({
  type: 'response',
  id: 7,
  questions: [{ type: 'A', name: 'WWW.Example.com' }],
  answers: [
    { type: 'CNAME', name: 'WWW.Example.com', ttl: 30, data: 'edge.example.net' },
    { type: 'A', name: 'edge.example.net', ttl: 300, data: '192.0.2.2' },
    { type: 'A', name: 'edge.example.net', ttl: 300, data: '192.0.2.1' },
  ],
})

test('an answer gives the question, sets of records and addresses with the shortest life on their chain', () => {
  expect(parseDnsMessage(response)).toEqual({
    id: 7,
    isResponse: true,
    question: { name: 'www.example.com', type: 'A', class: 'IN' },
    rcode: 'NoError',
    rrsets: [
      { name: 'edge.example.net', type: 'A', class: 'IN', rdata: ['192.0.2.1', '192.0.2.2'] },
      { name: 'www.example.com', type: 'CNAME', class: 'IN', rdata: ['edge.example.net'] },
    ],
    addresses: [
      { ip: '192.0.2.2', ttl: 30 },
      { ip: '192.0.2.1', ttl: 30 },
    ],
  })
})

test('a name that does not exist is told by its code', () => {
  const bytes = Buffer.from(encode({ type: 'response', id: 1, questions: [{ type: 'AAAA', name: 'nope.example' }] }))
  bytes[3] = 0x83
  expect(parseDnsMessage(bytes)).toMatchObject({ rcode: 'NXDomain', rrsets: [] })
})

test('hostile bytes are refused, never thrown', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseDnsMessage(Buffer.from(bytes))))
  fc.assert(
    fc.property(fc.integer({ min: 0, max: response.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const bytes = Buffer.from(response)
      bytes[at] = value
      parseDnsMessage(bytes)
      parseDnsMessage(bytes.subarray(0, at))
    }),
    { numRuns: 500 },
  )
})

test('a name that points at itself is refused', () => {
  const loop = Buffer.concat([
    Buffer.from([0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]),
    Buffer.from([0xc0, 12, 0, 1, 0, 1]),
  ])
  expect(parseDnsMessage(loop)).toBeNull()
})

test('a message that claims thousands of answers is refused before it is read', () => {
  const bytes = Buffer.from(response)
  bytes.writeUInt16BE(60_000, 6)
  expect(parseDnsMessage(bytes)).toBeNull()
})
