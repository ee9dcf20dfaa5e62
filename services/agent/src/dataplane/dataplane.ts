import type { ModelChanges } from '@margay/schemas'
import type { RuleHit } from '../nftables/names.ts'
import type { LocalEndpoint, RenderOptions } from '../nftables/render.ts'
import type { HostPlacement } from '../node/host-endpoints.ts'

/** What a node must enforce, beside the model that its data plane was made with. */
export interface NodePolicy {
  readonly node: string
  /** Of the model since the call before, everything for the first. They are taken in even when programming fails. */
  readonly changes: ModelChanges
  readonly endpoints: readonly LocalEndpoint[]
  readonly hosts: HostPlacement
  readonly options: RenderOptions
}

/** What came of programming it. */
export interface Programmed {
  /** Policies that select an endpoint of the node. */
  readonly policies: number
  /** Lists of domain names that rules on this node match by, each counted once for an address family. */
  readonly domainSets: number
  /** Policies that could not be enforced, by id, with the reason; what they said before stays in force, if it ever was. */
  readonly refused: ReadonlyMap<string, string>
  /** False when the kernel held all of it already. */
  readonly changed: boolean
  readonly size: DataplaneSize
}

/** How much a data plane holds. */
export interface DataplaneSize {
  readonly chains: number
  readonly rules: number
  readonly sets: number
  readonly elements: number
}

/** What a data plane really holds, as far as a look at it costs little. */
export interface ReadBack {
  readonly chains: number
  readonly sets: number
  /** Of their names and kinds: the same when nothing came or went. */
  readonly digest: string
  /** Chains and sets that should be there and are not, or are not what they should be. */
  readonly missing: readonly string[]
  /** Those that should not be there. */
  readonly unknown: readonly string[]
}

/** Verdicts that were counted where they were made. */
export interface PolicyCounter {
  /** Id of the policy. */
  readonly policy: string
  readonly allowed: number
  readonly denied: number
}

/** Something that a data plane may be able to do. */
export interface Capability {
  readonly on: boolean
  /** Why it is off. */
  readonly reason?: string
}

/** What a data plane can do. */
export interface Capabilities {
  /** Packets are really judged, and their verdicts are told. */
  readonly enforces: Capability
  readonly ipv6: Capability
  /** Rules by the names of destinations. */
  readonly domains: Capability
  /** Denied packets can be answered with a refusal. */
  readonly reject: Capability
  /** Changes go to the kernel as messages, without a process for each. */
  readonly netlink: Capability
  /** Allowed and denied packets are counted for each policy. */
  readonly counters: Capability
}

/**
 * Something that enforces policy on a node: nftables, or memory in tests and simulation. Programming costs what has
 * changed in the model that it was made with.
 */
export interface Dataplane {
  readonly name: 'nftables' | 'memory'
  readonly capabilities: Capabilities
  /**
   * Resolves when all of it is in force, but for policies that were refused by themselves. Rejects when it could not be done; the policy of
   * before stays, and it may be called again.
   */
  program(policy: NodePolicy): Promise<Programmed>
  /** True when somebody else may have changed what was programmed; programming then repairs it, a part with each call. */
  drifted(): boolean
  readBack(): Promise<ReadBack>
  /** Empty when `counters` is off. */
  counters(): readonly PolicyCounter[]
  /** Takes everything away: all traffic passes. */
  remove(): Promise<void>
  /** The rule behind the prefix of a logged packet; null when no recent rule has it. */
  hit(prefix: string): RuleHit | null
  close(): void
}
