import { encodeBlocks } from '@margay/kit/blocks'
import type { LogRecord } from '@margay/kit/event-log'
import type { KeyedState } from '@margay/kit/state'
import { type NotificationEvent, notification } from '@margay/schemas'
import type { Receiver } from './delivery.ts'
import type { Message } from './message.ts'

/** A message that a receiver does not have yet. */
export interface Pending {
  readonly message: Message
  /** Unix ms. */
  readonly queuedAt: number
  readonly attempts: number
  readonly recipients: readonly string[] | null
}

/** The name under which messages for everyone appear on the console. */
const inbox = 'inbox'

const keyOf = (receiver: string, message: Message) => `outbox/${receiver}/${message.key}`

/**
 * Messages on their way. They enter together with their events and leave together with the record of their delivery,
 * so a crash at any point leaves each one either still to be sent or known to be sent.
 */
export interface Outbox {
  /** Changes and records that put messages in: one entry for each receiver, and the inbox's copy, which has arrived with that. */
  enter(messages: readonly Message[], now: number): { changes: Map<string, unknown>; records: LogRecord[] }
  /** The oldest message for a receiver. */
  next(receiver: string): Pending | undefined
  size(receiver: string): number
  /** Records an outcome; the message stays unless it was sent or given up. */
  settle(
    receiver: Pick<Receiver, 'name' | 'channel'>,
    pending: Pending,
    outcome: {
      readonly state: NotificationEvent['state']
      readonly error?: string
      readonly details?: object
      readonly isTold: boolean
    },
    now: number,
  ): Promise<void>
}

/** Makes the outbox over the service's state. */
export function createOutbox(
  config: { readonly cluster: string; readonly host: string },
  deps: {
    readonly state: KeyedState
    readonly receivers: readonly Pick<Receiver, 'name' | 'channel' | 'minSeverity'>[]
  },
): Outbox {
  const { state, receivers } = deps
  const origin = { cluster: config.cluster, producer: `alerts/${config.host}` }
  const encode = (events: readonly NotificationEvent[]) => encodeBlocks(notification, events, origin)
  const step = (
    message: Message,
    to: { readonly name: string; readonly channel: string },
    rest: Pick<NotificationEvent, 'state' | 'attempts' | 'time'> & Partial<NotificationEvent>,
  ): NotificationEvent => ({
    ...config,
    id: `${message.key}@${to.name}`,
    alert: message.alert,
    group: message.group,
    event_ids: [...message.eventIds],
    receiver: to.name,
    channel: to.channel,
    severity: message.severity,
    subject: message.subject,
    ...(message.isSimulated ? { simulated: true } : {}),
    ...rest,
  })

  return {
    enter(messages, now) {
      const changes = new Map<string, unknown>()
      const events: NotificationEvent[] = []
      for (const message of messages) {
        const body = [message.text, ...message.facts.map(({ label, value }) => `${label}: ${value}`)].join('\n')
        events.push(
          step(message, { name: inbox, channel: 'inbox' }, { time: now, state: 'sent', attempts: 1, body, error: '' }),
        )
        for (const receiver of receivers) {
          if (message.severity < receiver.minSeverity) continue
          changes.set(keyOf(receiver.name, message), {
            message,
            queuedAt: now,
            attempts: 0,
            recipients: null,
          } satisfies Pending)
          events.push(step(message, receiver, { time: now, state: 'queued', attempts: 0, error: '' }))
        }
      }
      return { changes, records: encode(events) }
    },
    next(receiver) {
      const [key] = state.keys(`outbox/${receiver}/`)
      return key === undefined ? undefined : state.get<Pending>(key)
    },
    size: (receiver) => state.keys(`outbox/${receiver}/`).length,
    async settle(receiver, pending, outcome, now) {
      const change = outcome.state === 'queued' ? pending : undefined
      const told = step(pending.message, receiver, {
        time: now,
        state: outcome.state,
        attempts: pending.attempts,
        error: outcome.error ?? '',
        ...(outcome.details === undefined ? {} : { details: outcome.details }),
      })
      await state.write(
        new Map([[keyOf(receiver.name, pending.message), change]]),
        outcome.isTold ? encode([told]) : [],
      )
    },
  }
}
