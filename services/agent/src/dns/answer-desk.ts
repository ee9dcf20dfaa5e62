import { messageOf } from '@margay/kit/errors'
import type { DnsLookup } from '@margay/schemas'
import type { NetlinkMessage } from '../netlink/message.ts'
import { decodePacket, nflogPacketType } from '../netlink/nflog.ts'
import { decodeQueuedPacket, encodeVerdict, nfqueuePacketType } from '../netlink/nfqueue.ts'
import { trustedPrefix } from './dns-rules.ts'
import type { DomainElements } from './domain-elements.ts'
import type { DomainStore } from './domain-store.ts'
import { createLookups, type DnsPacketResult, type SeenLookup } from './lookups.ts'
import type { DnsThreadCounts, DnsThreadReport } from './thread-protocol.ts'

/**
 * Takes the DNS packets that the kernel hands over. A held answer is read, its addresses are put into the kernel's sets, and then it is let
 * go: whoever asked cannot know an address before the kernel does. Whatever is wrong with a packet, it is let go.
 */
export interface AnswerDesk {
  take(message: NetlinkMessage): void
  /** What was counted since the last call; null when nothing was. */
  counts(): Omit<DnsThreadCounts, 'overruns' | 'refused' | 'repaired'> | null
}

/** Holds of one report whose length is told. */
const holdSample = 200

/** What the log needs of a lookup; the rest is not worth carrying to another thread. */
const logged = ({ client, server, latency, message }: SeenLookup): DnsLookup => {
  const { question, rcode, rrsets, addresses } = message
  return { client, server, latency, message: { question, rcode, rrsets, addresses } }
}

/** Makes a desk. */
export function createAnswerDesk(deps: {
  readonly store: DomainStore
  readonly elements: DomainElements
  readonly send: (verdict: Buffer) => void
  readonly report: (report: DnsThreadReport) => void
  /** Milliseconds of the store's clock. */
  readonly now: () => number
}): AnswerDesk {
  const { store, elements, report, now } = deps
  const lookups = createLookups()
  let results: Partial<Record<DnsPacketResult, number>> = {}
  let strangers = 0
  let holds: number[] = []
  let failure: string | null = null

  /** Reads one packet, and learns from it when its sender is trusted. */
  function read(payload: Buffer, isTrusted: boolean): void {
    let result: DnsPacketResult = 'failed'
    try {
      const taken = lookups.take(payload, process.hrtime.bigint())
      if (taken.lookups.length > 0) tell(taken.lookups, isTrusted)
      result = taken.result
    } catch (error) {
      // Nothing that a packet says may keep the ones behind it waiting.
      failure ??= messageOf(error)
    }
    results[result] = (results[result] ?? 0) + 1
  }

  function tell(seen: readonly SeenLookup[], isTrusted: boolean): void {
    if (isTrusted) learn(seen)
    else strangers += seen.length
    report({ type: 'seen', lookups: seen.map(logged), isTrusted })
  }

  function learn(seen: readonly SeenLookup[]): void {
    const time = now()
    for (const { message } of seen) if (message.answer !== null) store.learn(message.answer, time)
    const { learned, forgotten } = elements.apply()
    if (learned.length + forgotten.length > 0) report({ type: 'names', learned, forgotten })
  }

  function takeQueued(payload: Buffer): void {
    const started = performance.now()
    const packet = decodeQueuedPacket(payload)
    if (packet === null) return
    read(packet.payload, true)
    deps.send(encodeVerdict(packet.queue, packet.id, 'accept'))
    if (holds.length < holdSample) holds.push((performance.now() - started) / 1000)
  }

  return {
    take(message) {
      if (message.type === nfqueuePacketType) takeQueued(message.payload)
      else if (message.type === nflogPacketType) {
        const packet = decodePacket(message.payload)
        if (packet !== null) read(packet.payload, packet.prefix === trustedPrefix)
      }
    },
    counts() {
      if (Object.keys(results).length === 0) return null
      const counted = { results, strangers, holds, failure }
      results = {}
      strangers = 0
      holds = []
      failure = null
      return counted
    },
  }
}
