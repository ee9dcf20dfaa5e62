import type { Component, Health } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Logger } from '@margay/kit/reporter'
import { backoffMs, DeliveryError, type FailureKind, type Receiver } from './delivery.ts'
import type { Outbox, Pending } from './outbox.ts'

/** Time and chance, so that tests need not wait. */
export interface Clock {
  now(): number
  random(): number
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** How one try ended; the label of a metric. */
export type Outcome = 'sent' | FailureKind | 'expired'

/** Sends what the outbox holds for one receiver, in order; a receiver that fails holds up nobody but itself. */
export interface Lane extends Component {
  /** Says that the outbox may hold something new. */
  wake(): void
}

/** An alert older than this is not news any more; it stays in the inbox. */
const maxAgeMs = 24 * 3_600_000
/** Wait after "too many requests" that names no time. */
const rateMs = 30_000

/** Makes the lane of a receiver. */
export function createLane(
  receiver: Receiver,
  deps: {
    readonly outbox: Outbox
    readonly clock: Clock
    readonly log: Logger
    onOutcome(outcome: Outcome): void
  },
): Lane {
  const { outbox, clock, log } = deps
  const end = new AbortController()
  let wakeUp: () => void = () => {}
  let health: Health = { state: 'ok' }
  let startedAt = 0
  let loop: Promise<void> | undefined

  /** Records an outcome; a log that fails is asked again, for a message must not be sent twice because of it. */
  async function settle(pending: Pending, outcome: Parameters<Outbox['settle']>[2]): Promise<void> {
    for (let tried = 1; !end.signal.aborted; tried += 1) {
      try {
        return await outbox.settle(receiver, pending, outcome, clock.now())
      } catch (error) {
        log.warn({ receiver: receiver.name, error: messageOf(error) }, 'the outcome of a delivery is not recorded yet')
        await clock.sleep(backoffMs(tried, clock.random(), { baseMs: 1000, capMs: 10_000 }), end.signal)
      }
    }
  }

  async function deliver(first: Pending): Promise<void> {
    let pending = first
    let isUncertain = first.queuedAt < startedAt
    for (let tried = 1; !end.signal.aborted; tried += 1) {
      pending = { ...pending, attempts: pending.attempts + 1 }
      try {
        const details = await receiver.send(pending.message, { ...pending, isUncertain })
        deps.onOutcome('sent')
        health = { state: 'ok' }
        return await settle(pending, { state: 'sent', details, isTold: true })
      } catch (thrown) {
        const failure =
          thrown instanceof DeliveryError
            ? thrown
            : new DeliveryError('transient', messageOf(thrown), { cause: thrown })
        const { kind, message: error, remaining } = failure
        const hasExpired = clock.now() - pending.queuedAt > maxAgeMs
        deps.onOutcome(hasExpired && kind !== 'permanent' ? 'expired' : kind)
        health = { state: 'degraded', reason: `${error} (receiver ${receiver.name}); see alerts.receivers` }
        log.warn({ receiver: receiver.name, kind, tried, error }, 'a message was not delivered')
        if (kind === 'permanent' || hasExpired) return await settle(pending, { state: 'failed', error, isTold: true })
        isUncertain ||= kind === 'ambiguous'
        const isChanged = remaining !== null && remaining.length !== pending.recipients?.length
        if (isChanged) pending = { ...pending, recipients: remaining }
        if (tried === 1 || isChanged) await settle(pending, { state: 'queued', error, isTold: tried === 1 })
        const wait = kind === 'rate' ? (failure.retryAfterMs ?? rateMs) : backoffMs(tried, clock.random())
        await clock.sleep(wait, end.signal)
      }
    }
  }

  async function work(): Promise<void> {
    while (!end.signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wakeUp = resolve
      })
      const pending = outbox.next(receiver.name)
      if (pending === undefined) await woken
      else await deliver(pending)
    }
  }

  return {
    name: `receiver ${receiver.name}`,
    wake: () => wakeUp(),
    async start() {
      startedAt = clock.now()
      loop = work()
    },
    async stop() {
      end.abort()
      wakeUp()
      await loop
    },
    health: () => health,
  }
}
