import type { SocketState } from '../bpf/tcp-statistics.ts'
import type { Judged, Noted } from '../flows/assembly.ts'
import type { ConntrackEntry } from './conntrack.ts'

/** Messages between the agent's main thread and the threads that block on kernel sockets. */

/** What a thread is started with. */
export interface WorkerOptions {
  /** Network namespace to enter; null: stay. */
  readonly netns: string | null
  /** Receive buffer asked for, bytes. */
  readonly bufferBytes: number
}

/** `sync` is answered once everything that the kernel had to tell so far has been told; `dump` with all connections. */
export type WorkerRequest =
  | { readonly type: 'sync'; readonly id: number }
  | { readonly type: 'dump'; readonly id: number }
  /** Statistics of TCP are wanted, or no longer; again when there may be new interfaces. */
  | { readonly type: 'tcp'; readonly on: boolean }
  | { readonly type: 'stop' }

/** What a thread tells, asked or not. */
export type WorkerReport =
  | {
      readonly type: 'ready'
      readonly largeBuffer: boolean
      /** Where the main thread writes `wakeUp` after a request. */
      readonly wakeFd: number
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'synced'; readonly id: number }
  | {
      readonly type: 'logged'
      readonly judged: readonly Judged[]
      readonly noted: readonly Noted[]
      readonly packets: number
      readonly malformed: number
      /** Packets that the kernel logged and could not hand over, by the gaps in their numbers. */
      readonly lost: number
      readonly overruns: number
    }
  | { readonly type: 'ended'; readonly entries: readonly ConntrackEntry[]; readonly overruns: number }
  | {
      readonly type: 'dumped'
      readonly id: number
      readonly entries: readonly ConntrackEntry[]
      readonly complete: boolean
      /** Sockets of pods that have sent something since the dump before. */
      readonly sockets: readonly SocketState[]
    }
  /** Why there are no statistics of TCP, or not of all pods; null when all is well. */
  | { readonly type: 'tcp'; readonly reason: string | null }
