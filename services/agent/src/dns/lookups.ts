import type { DnsLookup } from '@margay/schemas'
import { parseIpPacket } from '../flows/ip-packet.ts'
import { type DnsMessage, parseDnsMessage } from './message.ts'
import { createTcpMessages, parseSegment } from './tcp-messages.ts'

/** A lookup with what its answer says about names. */
export type SeenLookup = DnsLookup & { readonly message: DnsMessage }

/** What came of one packet: `partial` a segment that completes no message, `lost` one of a stream that cannot be followed, `failed` a bug. */
export type DnsPacketResult = 'request' | 'response' | 'partial' | 'lost' | 'malformed' | 'failed'

/** Reads DNS packets, and pairs responses with requests. */
export interface Lookups {
  /** Takes a packet from its IP header on, in the order in which they pass; gives the lookups that it completes. */
  take(packet: Buffer, at: bigint): { readonly result: DnsPacketResult; readonly lookups: readonly SeenLookup[] }
}

/** Requests that wait for their answer; resolvers give up after a few seconds. */
const waitingLimit = 20_000
const patienceNs = 10_000_000_000n
const udpHeader = 8
const protocols = { tcp: 6, udp: 17 } as const

/** Makes a reader that waits for nothing. Give it requests over UDP, and responses over UDP and TCP. Times are nanoseconds. */
export function createLookups(): Lookups {
  const waiting = new Map<string, bigint>()
  const streams = createTcpMessages()

  function messagesOf(
    packet: Buffer,
    at: number,
    protocol: number,
    connection: string,
  ): readonly Buffer[] | 'lost' | null {
    if (protocol === protocols.udp) return [packet.subarray(at + udpHeader)]
    const segment = protocol === protocols.tcp ? parseSegment(connection, packet.subarray(at)) : null
    return segment === null ? null : streams.take(segment)
  }

  return {
    take(bytes, at) {
      const packet = parseIpPacket(bytes)
      if (packet === null) return { result: 'malformed', lookups: [] }
      const { source, sourcePort, destination, destinationPort, protocol } = packet.tuple
      const connection = `${destination} ${destinationPort} ${source} ${sourcePort}`
      const messages = messagesOf(bytes.subarray(0, packet.length), packet.transport, protocol, connection)
      if (messages === null) return { result: 'malformed', lookups: [] }
      if (messages === 'lost') return { result: 'lost', lookups: [] }
      const lookups: SeenLookup[] = []
      let result: DnsPacketResult = 'partial'
      for (const payload of messages) {
        const message = parseDnsMessage(payload)
        if (message === null) return { result: 'malformed', lookups }
        if (!message.isResponse) {
          if (waiting.size >= waitingLimit) waiting.delete(waiting.keys().next().value as string)
          waiting.set(`${source} ${sourcePort} ${destination} ${message.id}`, at)
          result = 'request'
          continue
        }
        const key = `${destination} ${destinationPort} ${source} ${message.id}`
        const asked = waiting.get(key)
        waiting.delete(key)
        const elapsed = asked === undefined ? -1n : at - asked
        const latency = elapsed > patienceNs || elapsed < 0n ? null : Number(elapsed)
        lookups.push({ client: destination, server: source, message, latency })
        result = 'response'
      }
      return { result, lookups }
    },
  }
}
