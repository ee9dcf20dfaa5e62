import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAssembly } from '../../src/flows/assembly.ts'
import { parseIpPacket } from '../../src/flows/ip-packet.ts'
import { ipv4Packet, udpDatagram } from './packets.ts'

const packet = (port: number) =>
  parseIpPacket(
    ipv4Packet({
      source: '10.0.0.1',
      destination: '10.0.0.2',
      protocol: 17,
      transport: udpDatagram(port, 53, Uint8Array.of(1)),
    }),
  ) as NonNullable<ReturnType<typeof parseIpPacket>>

test('steps of one packet become one trace, ended by the verdict', () => {
  const assembly = createAssembly()
  assembly.add('egress', 'PPE0|security', packet(1))
  assembly.add('ingress', 'API0|default', packet(1))
  assembly.add('egress', 'DPEx|default', packet(1))
  const { judged, unfinished } = assembly.take()
  expect(judged.map((j) => [j.direction, j.verdict, j.prefixes, j.packets, j.bytes])).toEqual([
    ['ingress', 'allow', ['API0|default'], 1, 29],
    ['egress', 'deny', ['PPE0|security', 'DPEx|default'], 1, 29],
  ])
  expect(unfinished).toBe(0)
  expect(assembly.take().judged).toEqual([])
})

test('what host endpoints say before DNAT and when forwarding is no part of the trace of an end', () => {
  const assembly = createAssembly()
  for (const prefix of ['PPIN0|a', 'PPIF0|b', 'PPI0|c', 'APIF1|b', 'API0|d', 'DPIN1|a'])
    assembly.add('ingress', prefix, packet(1))
  expect(assembly.take().judged.map((j) => [j.stage, j.verdict, j.prefixes])).toEqual([
    ['forward', 'allow', ['APIF1|b']],
    ['normal', 'allow', ['PPI0|c', 'API0|d']],
    ['pre-dnat', 'deny', ['DPIN1|a']],
  ])
})

test('equal traces of one connection are counted together', () => {
  const assembly = createAssembly()
  for (let i = 0; i < 3; i += 1) {
    assembly.add('egress', 'PPE0|a', packet(1))
    assembly.add('egress', 'DPE1|b', packet(1))
  }
  expect(assembly.take().judged).toMatchObject([{ packets: 3, bytes: 87, prefixes: ['PPE0|a', 'DPE1|b'] }])
})

test('a trace whose end was lost does not leak into the next packet', () => {
  const assembly = createAssembly()
  assembly.add('egress', 'PPE0|a', packet(1))
  assembly.add('egress', 'PPE0|a', packet(1))
  assembly.add('egress', 'APE0|b', packet(1))
  expect(assembly.take().judged).toMatchObject([{ prefixes: ['PPE0|a', 'APE0|b'] }])
})

test('a verdict after a packet to a service tells the service, for a moment', () => {
  const assembly = createAssembly()
  const toService = { ...packet(1), tuple: { ...packet(1).tuple, destination: '10.96.0.1', destinationPort: 5353 } }
  assembly.addressed(toService)
  assembly.add('egress', 'DPE0|a', packet(1))
  assembly.add('egress', 'DPE0|a', packet(2))
  expect(assembly.take().judged.map((j) => j.addressed)).toEqual([{ ip: '10.96.0.1', port: 5353 }, null])
  assembly.add('ingress', 'API0|a', packet(1))
  expect(assembly.take().judged[0]?.addressed).toEqual({ ip: '10.96.0.1', port: 5353 })
  assembly.add('egress', 'DPE0|a', packet(1))
  expect(assembly.take().judged[0]?.addressed).toBeNull()
})

test('log actions are told apart and unknown prefixes ignored', () => {
  const assembly = createAssembly()
  assembly.add('ingress', 'LPI0|x', packet(1))
  assembly.add('ingress', 'kernel says', packet(1))
  expect(assembly.take()).toMatchObject({ judged: [], noted: [{ prefix: 'LPI0|x' }] })
})

test('interleaved connections never mix', () => {
  const ports = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 40 })
  fc.assert(
    fc.property(ports, (order) => {
      const assembly = createAssembly()
      const step = new Map<number, number>()
      for (const port of order) {
        const at = step.get(port) ?? 0
        assembly.add('egress', at === 2 ? `APE0|${port}` : `PPE${at}|${port}`, packet(port))
        step.set(port, (at + 1) % 3)
      }
      for (const judged of assembly.take().judged) {
        const { sourcePort } = judged.tuple
        expect(judged.prefixes).toEqual([`PPE0|${sourcePort}`, `PPE1|${sourcePort}`, `APE0|${sourcePort}`])
      }
    }),
  )
})
