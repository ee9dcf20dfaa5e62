import type { SimulatedLookup } from './connection.ts'

/** Remembers which names gave a client an address, as long as their records live. */
export interface AnsweredNames {
  add(lookup: SimulatedLookup): void
  of(client: string, ip: string): string[]
}

/** A client may use an address after the record's life has ended, as long as it has it; the agent keeps it this long at least. */
const leastLifeMs = 60_000

export function createAnsweredNames(deps: { readonly now: () => number }): AnsweredNames {
  const until = new Map<string, Map<string, number>>()
  return {
    add({ client, name, answer }) {
      for (const record of answer.answers) {
        if (record.type !== 'A') continue
        const key = `${client} ${record.data}`
        const known = until.get(key) ?? new Map<string, number>()
        known.set(name, deps.now() + Math.max(leastLifeMs, record.ttl * 1000))
        until.set(key, known)
      }
    },
    of(client, ip) {
      const known = until.get(`${client} ${ip}`)
      if (known === undefined) return []
      return [...known].filter(([, end]) => end >= deps.now()).map(([name]) => name)
    },
  }
}
