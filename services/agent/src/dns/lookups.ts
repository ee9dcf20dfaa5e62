import type { DnsLookup } from '@margay/schemas'
import { parseIpPacket } from '../flows/ip-packet.ts'
import { parseDnsMessage } from './message.ts'

/** Requests that wait for their answer; resolvers give up after a few seconds. */
const waitingLimit = 20_000
const patienceNs = 10_000_000_000n
const udpHeader = 8

/** Pairs requests with responses. Give it every DNS packet in order; it returns a lookup for each response. */
export function createLookups(): (payload: Buffer, at: bigint) => DnsLookup | 'request' | 'malformed' {
  const waiting = new Map<string, bigint>()
  return (payload, at) => {
    const packet = parseIpPacket(payload)
    if (packet === null || packet.tuple.protocol !== 17) return 'malformed'
    const message = parseDnsMessage(payload.subarray(packet.transport + udpHeader))
    if (message === null) return 'malformed'
    const { source, sourcePort, destination, destinationPort } = packet.tuple
    if (!message.isResponse) {
      if (waiting.size >= waitingLimit) waiting.delete(waiting.keys().next().value as string)
      waiting.set(`${source} ${sourcePort} ${destination} ${message.id}`, at)
      return 'request'
    }
    const key = `${destination} ${destinationPort} ${source} ${message.id}`
    const asked = waiting.get(key)
    waiting.delete(key)
    const elapsed = asked === undefined ? null : at - asked
    return {
      client: destination,
      server: source,
      message,
      latency: elapsed === null || elapsed > patienceNs || elapsed < 0n ? null : Number(elapsed),
    }
  }
}
