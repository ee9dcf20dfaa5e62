import type { Dataplane } from '../dataplane/dataplane.ts'
import type { RuleHit } from './names.ts'
import type { Nft } from './nft.ts'
import { render } from './render.ts'
import { table } from './ruleset.ts'
import { type KernelState, kernelOf, transactions } from './transaction.ts'

/** Shortest time between two complete rewritings, and longest without one. */
const rewriteMs = 5_000
const refreshMs = 180_000
/** Prefixes of replaced rules are remembered this long: logged packets may still be on their way. */
const prefixMemoryMs = 60_000

/**
 * Enforces policy with nftables. Keeps a picture of what the kernel holds and sends only differences; whenever the picture may
 * be wrong (start, any error, somebody else's change) it lists the table and writes all of it again, without a gap.
 */
export function createNftablesDataplane(deps: {
  readonly nft: Nft
  /** Number of the kernel's present rule set; every transaction of anybody raises it. */
  readonly generation: () => number
  readonly now: () => number
}): Dataplane {
  const { nft, now } = deps
  let kernel: KernelState | null = null
  let generation = 0
  let written = 0
  const hits = new Map<string, { hit: RuleHit; until: number }>()
  return {
    name: 'nftables',
    capabilities: { enforces: true },
    async program(policy) {
      const { ruleset, hits: wanted, policies, domainRules } = render(policy)
      // Known before the rules are in force, so that no packet is logged with an unknown prefix.
      for (const [prefix, { until }] of hits) if (until < now() && !wanted.has(prefix)) hits.delete(prefix)
      for (const [prefix, hit] of wanted) hits.set(prefix, { hit, until: now() + prefixMemoryMs })
      const present = kernel ?? (await nft.list())
      kernel = null
      const scripts = transactions(present, ruleset)
      for (const script of scripts) await nft.run(script)
      kernel = kernelOf(ruleset)
      if (scripts.length > 0 || generation === 0) generation = deps.generation()
      if (present !== kernel) written = now()
      return { policies, domainRules, changed: scripts.length > 0 }
    },
    drifted() {
      if (kernel === null) return false
      const age = now() - written
      // Others change tables of their own: ours is looked after in bursts of at most one rewriting in five seconds.
      if (age < refreshMs && (age < rewriteMs || deps.generation() === generation)) return false
      kernel = null
      return true
    },
    async remove() {
      kernel = null
      await nft.run(`add table ${table}\ndelete table ${table}\n`)
    },
    hit: (prefix) => hits.get(prefix)?.hit ?? null,
  }
}
