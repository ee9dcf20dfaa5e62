import type { Dataplane } from '../dataplane/dataplane.ts'
import type { RuleHit } from './names.ts'
import type { Nft } from './nft.ts'
import { render } from './render.ts'
import { table } from './ruleset.ts'
import { type KernelState, kernelOf, transactions } from './transaction.ts'

/** Prefixes of replaced rules are remembered this long: logged packets may still be on their way. */
const prefixMemoryMs = 60_000

/**
 * Enforces policy with nftables. Keeps a picture of what the kernel holds and sends only differences; whenever the picture may
 * be wrong (start, any error, somebody else's change) it lists the table and writes all of it again, without a gap.
 */
export function createNftablesDataplane(deps: { readonly nft: Nft; readonly now: () => number }): Dataplane & {
  /** Distrusts the picture of the kernel: the next programming writes everything. */
  resync(): void
} {
  const { nft, now } = deps
  let kernel: KernelState | null = null
  const hits = new Map<string, { hit: RuleHit; until: number }>()
  return {
    name: 'nftables',
    capabilities: { enforces: true },
    resync() {
      kernel = null
    },
    async program({ model, endpoints, options }) {
      const { ruleset, hits: wanted, policies, domainRules } = render(model, endpoints, options)
      // Known before the rules are in force, so that no packet is logged with an unknown prefix.
      for (const [prefix, { until }] of hits) if (until < now() && !wanted.has(prefix)) hits.delete(prefix)
      for (const [prefix, hit] of wanted) hits.set(prefix, { hit, until: now() + prefixMemoryMs })
      const present = kernel ?? (await nft.list())
      kernel = null
      const scripts = transactions(present, ruleset)
      for (const script of scripts) await nft.run(script)
      kernel = kernelOf(ruleset)
      return { policies, domainRules, changed: scripts.length > 0 }
    },
    async remove() {
      kernel = null
      await nft.run(`add table ${table}\ndelete table ${table}\n`)
    },
    hit: (prefix) => hits.get(prefix)?.hit ?? null,
  }
}
