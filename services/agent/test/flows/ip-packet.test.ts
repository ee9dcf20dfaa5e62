import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseIpPacket } from '../../src/flows/ip-packet.ts'
import { ipv4Packet, udpDatagram } from './packets.ts'

test('addresses, ports and the full length are read from a packet that the log cut', () => {
  const bytes = ipv4Packet({
    source: '10.0.0.1',
    destination: '10.0.0.2',
    protocol: 6,
    transport: Uint8Array.of(0x9c, 0x40, 0, 80),
    length: 1500,
  })
  expect(parseIpPacket(bytes)).toEqual({
    tuple: { source: '10.0.0.1', destination: '10.0.0.2', protocol: 6, sourcePort: 40000, destinationPort: 80 },
    length: 1500,
    transport: 20,
  })
})

test('an ICMP echo is told by its id, and its type and code stand for the port', () => {
  const transport = Uint8Array.of(8, 0, 0, 0, 0x12, 0x34, 0, 1)
  const bytes = ipv4Packet({ source: '10.0.0.1', destination: '10.0.0.2', protocol: 1, transport })
  expect(parseIpPacket(bytes)?.tuple).toMatchObject({ sourcePort: 0x1234, destinationPort: 0x800 })
})

test('IPv6 extension headers are skipped', () => {
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header.writeUInt16BE(16, 4)
  header[6] = 0
  header[23] = 1
  header[39] = 2
  const hop = Buffer.from([17, 0, 0, 0, 0, 0, 0, 0])
  const packet = Buffer.concat([header, hop, udpDatagram(5, 53, new Uint8Array())])
  expect(parseIpPacket(packet)).toEqual({
    tuple: { source: '::1', destination: '::2', protocol: 17, sourcePort: 5, destinationPort: 53 },
    length: 56,
    transport: 48,
  })
})

test('bytes of any content are refused or read, never more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(0x45, 0x4f, 0x60, 0x00), (bytes, first) => {
      const buffer = Buffer.from(bytes)
      if (buffer.length > 0) buffer[0] = first
      const packet = parseIpPacket(buffer)
      if (packet !== null) expect(packet.transport).toBeLessThanOrEqual(buffer.length)
    }),
  )
})
