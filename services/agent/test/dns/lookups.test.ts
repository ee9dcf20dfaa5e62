import { encode } from 'dns-packet'
import { expect, test } from 'vitest'
import { createLookups } from '../../src/dns/lookups.ts'
import { ipv4Packet, udpDatagram } from '../flows/packets.ts'

const client = '10.0.0.1'
const server = '10.0.0.53'

function query(port: number, id: number, name = 'www.example.com'): Buffer {
  const message = encode({ type: 'query', id, questions: [{ type: 'A', name }] })
  return ipv4Packet({ source: client, destination: server, protocol: 17, transport: udpDatagram(port, 53, message) })
}

function answer(port: number, id: number, name = 'www.example.com', ip = '192.0.2.1'): Buffer {
  const message = encode({
    type: 'response',
    id,
    questions: [{ type: 'A', name }],
    answers: [{ type: 'A', name, ttl: 5, data: ip }],
  })
  return ipv4Packet({ source: server, destination: client, protocol: 17, transport: udpDatagram(53, port, message) })
}

test('a response is paired with its own request', () => {
  const take = createLookups()
  expect(take(query(1000, 1), 1_000n)).toBe('request')
  expect(take(query(1001, 1), 2_000n)).toBe('request')
  expect(take(answer(1001, 1), 5_000n)).toMatchObject({ client, server, latency: 3000 })
  expect(take(answer(1000, 1), 7_000n)).toMatchObject({ latency: 6000 })
  expect(take(answer(1000, 1), 9_000n)).toMatchObject({ latency: null })
  expect(take(Buffer.from('junk'), 0n)).toBe('malformed')
})
