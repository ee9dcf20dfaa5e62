import { MargayError } from '@margay/kit/errors'
import type { Message } from './message.ts'

/**
 * What to do about a message that was not taken:
 * permanent — trying again cannot help; rate — the receiver said when; transient — nothing was sent, try again;
 * ambiguous — it may have arrived: look, if the receiver lets one, then try again with the same identity.
 */
export type FailureKind = 'permanent' | 'rate' | 'transient' | 'ambiguous'

/** A message that a receiver did not take. */
export class DeliveryError extends MargayError {
  readonly kind: FailureKind
  /** Wait that the receiver asked for, ms. */
  readonly retryAfterMs: number | null
  /** Addresses still to be served, when others of the same receiver were. */
  readonly remaining: readonly string[] | null

  constructor(
    kind: FailureKind,
    message: string,
    options: { retryAfterMs?: number; remaining?: readonly string[]; cause?: unknown } = {},
  ) {
    super('DELIVERY_FAILED', message, { cause: options.cause })
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs ?? null
    this.remaining = options.remaining ?? null
  }
}

/** What a receiver should know about a message besides its content. */
export interface Attempt {
  /** When the message entered the outbox, unix ms. */
  readonly queuedAt: number
  /** True when an earlier try may have arrived. */
  readonly isUncertain: boolean
  /** Addresses to serve; null for all. */
  readonly recipients: readonly string[] | null
}

/** A way to tell people, or a program: one mailbox list, one channel, one address. */
export interface Receiver {
  readonly name: string
  readonly channel: 'email' | 'slack' | 'webhook'
  /** Events below it are not sent here. */
  readonly minSeverity: number
  /** Resolves with what the receiver answered when it has the message; rejects with a DeliveryError. */
  send(message: Message, attempt: Attempt): Promise<Readonly<Record<string, unknown>>>
}

/** Waits between tries of one message: exponential, with full jitter, at most `capMs`. `tried` begins at 1; `random` is 0 to 1. */
export function backoffMs(tried: number, random: number, limits = { baseMs: 1000, capMs: 300_000 }): number {
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(tried - 1, 30))
  return Math.max(limits.baseMs / 5, Math.floor(random * ceiling))
}
