import type { PolicyModel } from '@margay/schemas'
import type { RuleHit } from '../nftables/names.ts'
import type { LocalEndpoint, RenderOptions } from '../nftables/render.ts'
import type { HostPlacement } from '../node/host-endpoints.ts'

/** What a node must enforce. */
export interface NodePolicy {
  readonly node: string
  readonly model: PolicyModel
  readonly endpoints: readonly LocalEndpoint[]
  readonly hosts: HostPlacement
  readonly options: RenderOptions
}

/** What came of programming it. */
export interface Programmed {
  /** Policies that select an endpoint of the node. */
  readonly policies: number
  /** Rules that match nothing yet because they name domains. */
  readonly domainRules: number
  /** False when the kernel held all of it already. */
  readonly changed: boolean
}

/** Something that enforces policy on a node: nftables, or memory in tests. */
export interface Dataplane {
  readonly name: 'nftables' | 'memory'
  readonly capabilities: {
    /** Packets are really judged, and their verdicts are told. */
    readonly enforces: boolean
  }
  /** Resolves when all of it is in force; rejects with nothing half done and may be called again. */
  program(policy: NodePolicy): Promise<Programmed>
  /** True when somebody else may have changed what was programmed; the next programming then writes all of it again. */
  drifted(): boolean
  /** Takes everything away: all traffic passes. */
  remove(): Promise<void>
  /** The rule behind the prefix of a logged packet; null when no recent rule has it. */
  hit(prefix: string): RuleHit | null
}
