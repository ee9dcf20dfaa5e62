import type { DnsLookup } from '@margay/schemas'
import type { KnownName, NamePair, SharedAddress } from './domain-facts.ts'
import type { DomainSet } from './domain-sets.ts'
import type { DnsPacketResult } from './lookups.ts'
import type { DnsServer } from './trusted-servers.ts'

/** Messages between the agent's main thread and the thread that holds DNS answers. */

/** What the thread is started with. */
export interface DnsThreadOptions {
  /** Network namespace to enter; null: stay. */
  readonly netns: string | null
  /** Two 32-bit numbers: 1 while the thread changes the kernel's tables, and how often it has. */
  readonly transactions: SharedArrayBuffer
}

/** How packets are taken. */
export interface DnsThreadSettings {
  readonly servers: readonly DnsServer[]
  readonly delays: boolean
  readonly queue: number
  readonly queueSize: number
  readonly longestHoldMs: number
  readonly extraMs: number
}

/** Requests with an id are answered. */
export type DnsThreadRequest =
  | { readonly type: 'configure'; readonly id: number; readonly settings: DnsThreadSettings }
  | { readonly type: 'fill'; readonly id: number; readonly sets: readonly DomainSet[] }
  /** Times are unix milliseconds, here and in `known`. */
  | { readonly type: 'restore'; readonly names: readonly KnownName[] }
  | { readonly type: 'clear' }
  | { readonly type: 'save'; readonly id: number }
  | { readonly type: 'look'; readonly id: number }
  | { readonly type: 'remove'; readonly id: number }
  | { readonly type: 'stop' }

/** `delayed`: answers are held, or will be once a rule names a domain. `reason` says why not although it was asked for. */
export interface DnsMode {
  readonly mode: 'delayed' | 'copied'
  readonly reason: string | null
}

/** What the thread holds. */
export interface DnsThreadState {
  readonly size: { readonly names: number; readonly pairs: number; readonly sets: number; readonly elements: number }
  readonly dropped: number
  readonly shared: readonly SharedAddress[]
}

/** What has been counted since the last report. */
export interface DnsThreadCounts {
  readonly results: Partial<Record<DnsPacketResult, number>>
  readonly strangers: number
  readonly overruns: number
  readonly refused: number
  readonly repaired: number
  /** Why a packet was not read, when that is a bug of the agent. */
  readonly failure: string | null
  /** Seconds from reading a held answer to letting it go; a sample. */
  readonly holds: readonly number[]
}

export type DnsThreadReport =
  | { readonly type: 'ready'; readonly wakeFd: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | ({ readonly type: 'configured'; readonly id: number } & DnsMode)
  | { readonly type: 'filled'; readonly id: number; readonly error: string | null }
  | { readonly type: 'seen'; readonly lookups: readonly DnsLookup[]; readonly isTrusted: boolean }
  | { readonly type: 'names'; readonly learned: readonly NamePair[]; readonly forgotten: readonly NamePair[] }
  | ({ readonly type: 'counted' } & DnsThreadCounts)
  | { readonly type: 'known'; readonly id: number; readonly names: readonly KnownName[]; readonly isLast: boolean }
  | ({ readonly type: 'looked'; readonly id: number } & DnsThreadState)
  | { readonly type: 'removed'; readonly id: number }
