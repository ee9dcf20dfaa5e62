import type { RuleHit } from '../nftables/names.ts'
import { render } from '../nftables/render.ts'
import type { Dataplane, NodePolicy } from './dataplane.ts'

/** A data plane that keeps what it was told and touches no kernel: for tests, and for machines that have none. */
export function createMemoryDataplane(): Dataplane & { readonly programmed: NodePolicy | null } {
  let programmed: NodePolicy | null = null
  let hits: ReadonlyMap<string, RuleHit> = new Map()
  return {
    name: 'memory',
    capabilities: { enforces: false },
    get programmed() {
      return programmed
    },
    async program(policy) {
      const rendering = render(policy)
      programmed = policy
      hits = rendering.hits
      return { policies: rendering.policies, domainRules: rendering.domainRules, changed: true }
    },
    drifted: () => false,
    async remove() {
      programmed = null
    },
    hit: (prefix) => hits.get(prefix) ?? null,
  }
}
