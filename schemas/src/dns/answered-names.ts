import type { DnsLookup } from './lookup.ts'

/** Which names a client looked up to learn an address: what flow logs show as the destination's domains. */
export interface AnsweredNames {
  add(lookup: DnsLookup): void
  /** Names that hold for the client now, sorted. */
  names(client: string, ip: string): readonly string[]
}

/** A client may use an address after the record's life has ended, as long as it has it. */
const leastLifeMs = 60_000
const pairLimit = 50_000

/** Makes an empty memory; the pairs of client and address that it holds are bounded. */
export function createAnsweredNames(deps: { readonly now: () => number }): AnsweredNames {
  const pairs = new Map<string, Map<string, number>>()
  return {
    add({ client, message }) {
      for (const { ip, ttl } of message.addresses) {
        const key = `${client} ${ip}`
        const names = pairs.get(key) ?? new Map<string, number>()
        names.set(message.question.name, deps.now() + Math.max(leastLifeMs, ttl * 1000))
        // Put at the end again: the oldest pair is the first to go.
        pairs.delete(key)
        pairs.set(key, names)
      }
      while (pairs.size > pairLimit) pairs.delete(pairs.keys().next().value as string)
    },
    names(client, ip) {
      const names = pairs.get(`${client} ${ip}`)
      if (names === undefined) return []
      for (const [name, until] of names) if (until < deps.now()) names.delete(name)
      if (names.size === 0) pairs.delete(`${client} ${ip}`)
      return [...names.keys()].sort()
    },
  }
}
