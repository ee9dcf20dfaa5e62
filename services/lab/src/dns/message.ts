import dnsPacket from 'dns-packet'
import { clusterDomain, lookUp, type Zone } from './zone.ts'

/** Largest UDP answer without EDNS (RFC 1035, 4.2.1). */
const plainUdpBytes = 512
const recursionDesired = 0x0100

/**
 * The answer of the lab's name server to one query; null when the query cannot be read.
 * `turn` rotates several addresses; over UDP an answer that is too long, or whose name asks for it, is truncated.
 */
export function answer(zone: Zone, query: Buffer, transport: 'udp' | 'tcp', turn = 0): Buffer | null {
  let packet: dnsPacket.DecodedPacket
  try {
    packet = dnsPacket.decode(query)
  } catch {
    return null
  }
  const [question] = packet.questions ?? []
  if (packet.type !== 'query' || question === undefined) return null
  const found = lookUp(zone, question, turn)
  const name = question.name.toLowerCase()
  const isCluster = name === clusterDomain || name.endsWith(`.${clusterDomain}`)
  const flags =
    dnsPacket.RECURSION_AVAILABLE |
    ((packet.flags ?? 0) & recursionDesired) |
    (isCluster ? dnsPacket.AUTHORITATIVE_ANSWER : 0) |
    (found.rcode === 'NXDOMAIN' ? 3 : 0)
  const reply: dnsPacket.Packet = {
    type: 'response',
    id: packet.id ?? 0,
    flags,
    questions: [question],
    answers: found.answers.map((record) => ({ class: 'IN' as const, ...record })) as dnsPacket.Answer[],
  }
  const bytes = dnsPacket.encode(reply)
  const edns = packet.additionals?.find((record) => record.type === 'OPT')
  const limit = edns?.type === 'OPT' ? Math.max(plainUdpBytes, edns.udpPayloadSize ?? 0) : plainUdpBytes
  if (transport === 'tcp' || (bytes.length <= limit && !zone.tcpOnly.has(name))) return bytes
  return dnsPacket.encode({ ...reply, flags: flags | dnsPacket.TRUNCATED_RESPONSE, answers: [] })
}
