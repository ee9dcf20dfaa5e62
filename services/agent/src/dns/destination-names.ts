import { createAnsweredNames, type DnsLookup } from '@margay/schemas'
import type { NamePair } from './domain-facts.ts'

/** The names of addresses as DNS told them: what rules with domains judge by, and what flow logs show. */
export interface DestinationNames {
  /** A client was answered. */
  answered(lookup: DnsLookup): void
  /** What the thread that holds answers has learned and forgotten. */
  change(learned: readonly NamePair[], forgotten: readonly NamePair[]): void
  /** Every name that gave the address and lives still: the kernel lets a rule's domains pass by these. */
  all(ip: string): readonly string[]
  /** The same, with those first by which the client itself learned the address, also when they have ended since. */
  forClient(client: string, ip: string): readonly string[]
}

/** Makes a memory that knows no name. */
export function createDestinationNames(deps: { readonly now: () => number }): DestinationNames {
  const own = createAnsweredNames(deps)
  const names = new Map<string, Set<string>>()
  const all = (ip: string) => [...(names.get(ip) ?? [])].sort()
  return {
    answered: own.add,
    change(learned, forgotten) {
      for (const [name, ip] of learned) {
        const known = names.get(ip)
        if (known === undefined) names.set(ip, new Set([name]))
        else known.add(name)
      }
      for (const [name, ip] of forgotten) {
        const known = names.get(ip)
        known?.delete(name)
        if (known?.size === 0) names.delete(ip)
      }
    },
    all,
    forClient: (client, ip) => [...new Set([...own.names(client, ip), ...all(ip)])],
  }
}
