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
    isTruncated: false,
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
    answer: {
      chain: [
        { name: 'www.example.com', ttl: 30 },
        { name: 'edge.example.net', ttl: 0 },
      ],
      addresses: [
        { ip: '192.0.2.2', ttl: 300 },
        { ip: '192.0.2.1', ttl: 300 },
      ],
    },
  })
})

test('records that the question does not lead to give no address to anybody', () => {
  const bytes = encode({
    type: 'response',
    questions: [{ type: 'A', name: 'a.example' }],
    answers: [
      { type: 'A', name: 'bank.example', ttl: 30, data: '192.0.2.66' },
      { type: 'A', name: 'a.example', ttl: 30, data: '192.0.2.1' },
      { type: 'CNAME', name: 'bank.example', ttl: 30, data: 'a.example' },
    ],
    additionals: [{ type: 'A', name: 'a.example', ttl: 30, data: '192.0.2.67' }],
  })
  expect(parseDnsMessage(bytes)).toMatchObject({
    answer: { chain: [{ name: 'a.example' }], addresses: [{ ip: '192.0.2.1', ttl: 30 }] },
  })
})

test('CNAME records that turn in a circle, or go on for too long, lead nowhere', () => {
  const aliases = (pairs: [string, string][]) =>
    parseDnsMessage(
      encode({
        type: 'response',
        questions: [{ type: 'A', name: 'n0.example' }],
        answers: pairs.map(([name, data]) => ({ type: 'CNAME', name, ttl: 1, data })),
      }),
    )
  const circle = aliases([
    ['n0.example', 'n1.example'],
    ['n1.example', 'n0.example'],
  ])
  expect(circle).toMatchObject({ answer: null, rcode: 'NoError' })
  const long = Array.from({ length: 40 }, (_, i): [string, string] => [`n${i}.example`, `n${i + 1}.example`])
  expect(aliases(long)).toMatchObject({ answer: null })
})

test('a label that holds a dot makes no name that a rule could mean', () => {
  const bytes = encode({
    type: 'response',
    questions: [{ type: 'A', name: 'api_twilio.com' }],
    answers: [{ type: 'A', name: 'api_twilio.com', ttl: 1, data: '192.0.2.66' }],
  })
  for (const [at, byte] of bytes.entries()) if (byte === 0x5f) bytes[at] = 0x2e
  expect(parseDnsMessage(bytes)).toMatchObject({ question: { name: 'api\\.twilio.com' }, answer: null, addresses: [] })
})

test('a truncated answer gives what it holds, with EDNS or without', () => {
  const whole = encode({
    type: 'response',
    flags: 0x0200,
    questions: [{ type: 'AAAA', name: 'six.example' }],
    answers: [
      { type: 'AAAA', name: 'six.example', ttl: 9, data: '2001:db8::1' },
      { type: 'AAAA', name: 'six.example', ttl: 9, data: '2001:db8::2' },
    ],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1232,
        flags: 0,
        options: [],
        extendedRcode: 0,
        ednsVersion: 0,
        flag_do: false,
      },
    ],
  })
  expect(parseDnsMessage(whole)?.addresses).toHaveLength(2)
  expect(parseDnsMessage(whole.subarray(0, whole.length - 20))).toMatchObject({
    isTruncated: true,
    addresses: [{ ip: '2001:db8::1', ttl: 9 }],
  })
  whole[2] = 0x80
  expect(parseDnsMessage(whole.subarray(0, whole.length - 20))).toBeNull()
})

test('records are told as zone files write them', () => {
  const name = 'r.example'
  const bytes = encode({
    type: 'response',
    questions: [{ type: 'A', name }],
    answers: [
      { type: 'MX', name, data: { preference: 10, exchange: 'mail.r.example' } },
      { type: 'SRV', name, data: { priority: 1, weight: 2, port: 53, target: 'srv.r.example' } },
      { type: 'SOA', name, data: { mname: 'ns.r.example', rname: 'root.r.example', serial: 7 } },
      { type: 'TXT', name, data: ['one', 'two'] },
      { type: 'PTR', name, data: 'Ptr.R.example' },
      { type: 'UNKNOWN_4711' as 'NULL', name, data: Buffer.from([1, 2]) },
    ],
  })
  expect(parseDnsMessage(bytes)?.rrsets.map(({ type, rdata }) => [type, ...rdata])).toEqual([
    ['4711', '0102'],
    ['MX', '10 mail.r.example'],
    ['PTR', 'ptr.r.example'],
    ['SOA', 'ns.r.example root.r.example 7'],
    ['SRV', '1 2 53 srv.r.example'],
    ['TXT', 'one two'],
  ])
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
