import { readSecret } from '@margay/kit/config'
import { messageOf } from '@margay/kit/errors'
import { DeliveryError, type Receiver } from '../delivery.ts'
import type { Message } from '../message.ts'
import { isUnreachable } from './unreachable.ts'

/** Settings of a program that is told: one entry of `alerts.receivers` of type webhook. */
export interface WebhookConfig {
  readonly name: string
  /** http or https. */
  readonly url: string
  /** File that holds the token of the header `Authorization: Bearer`. */
  readonly tokenFile?: string
  readonly minSeverity: number
  /** Longest wait for an answer, ms. */
  readonly timeoutMs?: number
}

/**
 * Makes a receiver that posts each message as JSON. The token is read for each message, so it may be changed at any time. A message may
 * come more than once; its `id`, also in the header `Idempotency-Key`, is the same then.
 */
export function createWebhookReceiver(config: WebhookConfig, deps: { readonly cluster: string }): Receiver {
  return {
    name: config.name,
    channel: 'webhook',
    minSeverity: config.minSeverity,
    async send(message) {
      const headers = {
        'content-type': 'application/json',
        'idempotency-key': message.key,
        'user-agent': 'margay',
        ...authorizationOf(config),
      }
      let response: Response
      try {
        response = await fetch(config.url, {
          method: 'POST',
          headers,
          body: JSON.stringify(bodyOf(message, deps.cluster)),
          // The token is for this address and no other.
          redirect: 'manual',
          signal: AbortSignal.timeout(config.timeoutMs ?? 10_000),
        })
        await response.body?.cancel()
      } catch (error) {
        throw new DeliveryError(isUnreachable(error) ? 'transient' : 'ambiguous', reasonOf(config, messageOf(error)), {
          cause: error,
        })
      }
      if (response.ok) return { status: response.status }
      throw refusalOf(config, response)
    },
  }
}

/** What is posted: the event as it is told to people, and under `record` the fields of the log that raised it. */
function bodyOf(message: Message, cluster: string) {
  return {
    id: message.key,
    origin: message.alert,
    description: message.text,
    subject: message.subject,
    severity: message.severity,
    time: new Date(message.time).toISOString(),
    cluster,
    event_ids: message.eventIds,
    total: message.total,
    repeat: message.isRepeat,
    simulated: message.isSimulated,
    record: Object.fromEntries(message.facts.map(({ label, value }) => [label, value])),
  }
}

function authorizationOf({ name, tokenFile }: WebhookConfig): { authorization?: string } {
  if (tokenFile === undefined) return {}
  try {
    return { authorization: `Bearer ${readSecret(tokenFile)}` }
  } catch (cause) {
    throw new DeliveryError('permanent', `the receiver ${name} has no token: ${messageOf(cause)}`, { cause })
  }
}

/** Sorts an answer that is none of success by what a second try may do. */
function refusalOf(config: WebhookConfig, { status, headers }: Response): DeliveryError {
  const text = reasonOf(config, `it answered ${status}`)
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  if (status === 429 || (status === 503 && seconds >= 0))
    return new DeliveryError('rate', text, seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {})
  return new DeliveryError(status < 500 && status !== 408 ? 'permanent' : 'ambiguous', text)
}

/** The address without what may be secret in it. */
function reasonOf({ url }: WebhookConfig, what: string): string {
  return `the webhook ${new URL(url).origin} did not take the message: ${what}`
}
