import { encode } from 'dns-packet'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAnswerDesk } from '../../src/dns/answer-desk.ts'
import { createDomainElements } from '../../src/dns/domain-elements.ts'
import { createDomainStore } from '../../src/dns/domain-store.ts'
import type { DnsThreadReport } from '../../src/dns/thread-protocol.ts'
import { decodeMessages, encodeRequest, u32 } from '../../src/netlink/message.ts'
import { encodePacket } from '../../src/netlink/nflog.ts'
import { nfqueuePacketType } from '../../src/netlink/nfqueue.ts'
import { ipv4Packet, tcpSegment, udpDatagram } from '../flows/packets.ts'

/** A packet that waits in queue 101, as the kernel tells it. */
function queued(id: number, payload: Uint8Array) {
  const bytes = encodeRequest({
    type: nfqueuePacketType,
    flags: 0,
    sequence: 0,
    family: 2,
    resource: 101,
    attributes: [
      [1, Uint8Array.of(...u32(id), 8, 0, 2)],
      [10, payload],
    ],
  })
  return [...decodeMessages(bytes)][0] as ReturnType<typeof decodeMessages> extends Generator<infer M> ? M : never
}

function rig() {
  const told: string[] = []
  const reports: DnsThreadReport[] = []
  const store = createDomainStore()
  const elements = createDomainElements({
    store,
    kernel: {
      commit: (changes) =>
        void told.push(...changes.map((c) => (c.type === 'elements' ? `${c.op} ${[...c.elements]} to ${c.set}` : ''))),
      members: () => [],
    },
    now: () => 0,
  })
  for (const _ of elements.fill([{ name: 'd4', family: 4, patterns: ['*.example'] }]));
  const desk = createAnswerDesk({
    store,
    elements,
    send: (verdict) => void told.push(`verdict on ${verdict.readUInt32BE(28)}`),
    report: (report) => void reports.push(report),
    now: () => 0,
  })
  return { desk, told, reports }
}

const answer = (name: string, ip: string) =>
  encode({
    type: 'response',
    id: 7,
    questions: [{ type: 'A', name }],
    answers: [{ type: 'A', name, ttl: 60, data: ip }],
  })
const packet = (transport: Uint8Array, protocol = 17) =>
  ipv4Packet({ source: '10.0.0.53', destination: '10.0.0.1', protocol, transport })

test('the kernel knows an address, and the main thread its name, before the answer is let go', () => {
  const { desk, told, reports } = rig()
  desk.take(queued(4711, packet(udpDatagram(53, 4000, answer('a.example', '192.0.2.1')))))
  expect(told).toEqual(['add 192.0.2.1 to d4', 'verdict on 4711'])
  expect(reports).toMatchObject([
    { type: 'names', learned: [['a.example', '192.0.2.1']] },
    { type: 'seen', isTrusted: true, lookups: [{ client: '10.0.0.1', server: '10.0.0.53' }] },
  ])
  // The same answer again teaches nothing new, and costs no transaction.
  desk.take(queued(4712, packet(udpDatagram(53, 4000, answer('a.example', '192.0.2.1')))))
  expect(told.slice(2)).toEqual(['verdict on 4712'])
  expect(desk.counts()).toMatchObject({ results: { response: 2 }, strangers: 0, failure: null })
  expect(desk.counts()).toBeNull()
})

test('a copy teaches only when it bears the mark of trusted servers', () => {
  const { desk, told, reports } = rig()
  const copy = (prefix: string) => {
    const payload = packet(udpDatagram(53, 4000, answer('a.example', '192.0.2.1')))
    for (const message of decodeMessages(encodePacket({ group: 3, prefix, payload, sequence: null })))
      desk.take(message)
  }
  copy('margay-dns-stranger')
  expect(told).toEqual([])
  expect(reports).toMatchObject([{ type: 'seen', isTrusted: false }])
  copy('margay-dns-trusted')
  expect(told).toEqual(['add 192.0.2.1 to d4'])
  expect(desk.counts()).toMatchObject({ strangers: 1 })
})

test('whatever a packet holds, it is let go, once, and the next answer is read', () => {
  const { desk, told } = rig()
  const whole = answer('a.example', '192.0.2.1')
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ maxLength: 100 }).map((bytes) => packet(udpDatagram(53, 4000, bytes))),
    fc.uint8Array({ maxLength: 100 }).map((bytes) => packet(tcpSegment(53, 4000, 1, bytes), 6)),
    fc
      .tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), fc.nat({ max: whole.length }))
      .map(([at, value, cut]) => {
        const bytes = Buffer.from(whole)
        bytes[at] = value
        return packet(udpDatagram(53, 4000, bytes.subarray(0, cut)))
      }),
  )
  let id = 0
  fc.assert(
    fc.property(junk, (bytes) => {
      id += 1
      desk.take(queued(id, bytes))
      expect(told.filter((line) => line === `verdict on ${id}`)).toHaveLength(1)
      told.length = 0
    }),
    { numRuns: 300 },
  )
  desk.take(queued(99, packet(udpDatagram(53, 4000, answer('z.example', '198.51.100.77')))))
  expect(told).toEqual(['add 198.51.100.77 to d4', 'verdict on 99'])
  expect(desk.counts()?.failure).toBeNull()
})
