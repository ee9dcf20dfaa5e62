import { readSecret } from '@margay/kit/config'
import { messageOf } from '@margay/kit/errors'
import {
  WebAPIHTTPError,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
  WebClient,
} from '@slack/web-api'
import { type Attempt, DeliveryError, type Receiver } from '../delivery.ts'
import type { Message } from '../message.ts'
import { blocksOf, fallbackText } from './slack-blocks.ts'
import { isUnreachable } from './unreachable.ts'

/** Settings of a channel: one entry of `alerts.receivers` of type slack. */
export interface SlackConfig {
  readonly name: string
  readonly channel: string
  readonly tokenFile: string
  readonly apiUrl?: string
  readonly minSeverity: number
  /** Longest wait for an answer, ms. */
  readonly timeoutMs?: number
}

const eventType = 'margay_alert'
/** Answers of Slack that pass by themselves; every other refusal is about the message, the channel or the token. */
const passing = new Set([
  'fatal_error',
  'internal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
])

/** Makes a receiver that posts to a Slack channel. The token is read for each message, so it may be changed at any time. */
export function createSlackReceiver(config: SlackConfig, deps: { readonly cluster: string }): Receiver {
  /** Slack reads history by id only; the answer to a post tells it. */
  let channelId = config.channel
  /** The SDK would retry a post that may have arrived, wait for ever and stop all channels for the limit of one. */
  const connect = () =>
    new WebClient(readSecret(config.tokenFile), {
      ...(config.apiUrl === undefined ? {} : { slackApiUrl: config.apiUrl }),
      timeout: config.timeoutMs ?? 10_000,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      allowAbsoluteUrls: false,
      logger: silent,
    })

  /** Looks for the message among those posted since it was queued; undefined when it is not there or may not be read. */
  async function find(client: WebClient, message: Message, attempt: Attempt): Promise<string | undefined> {
    try {
      const history = await client.conversations.history({
        channel: channelId,
        oldest: String(Math.floor(attempt.queuedAt / 1000) - 5),
        include_all_metadata: true,
        limit: 200,
      })
      return history.messages?.find(
        ({ metadata }) =>
          metadata?.event_type === eventType &&
          (metadata.event_payload as { key?: string } | undefined)?.key === message.key,
      )?.ts
    } catch {
      return undefined // a token that may not read history: better twice than never
    }
  }

  return {
    name: config.name,
    channel: 'slack',
    minSeverity: config.minSeverity,
    async send(message, attempt) {
      try {
        const client = connect()
        if (attempt.isUncertain) {
          const ts = await find(client, message, attempt)
          if (ts !== undefined) return { channel: channelId, ts, found: true }
        }
        const answer = await client.chat.postMessage({
          channel: config.channel,
          text: fallbackText(message),
          blocks: blocksOf(message, deps.cluster),
          metadata: { event_type: eventType, event_payload: { key: message.key } },
          unfurl_links: false,
          unfurl_media: false,
        })
        channelId = answer.channel ?? channelId
        return { channel: answer.channel, ts: answer.ts }
      } catch (error) {
        throw failureOf(error, config)
      }
    },
  }
}

const silent = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  getLevel: () => 'error' as never,
  setName() {},
}

/** Sorts an error of Slack's client by what a second try may do. */
function failureOf(error: unknown, { channel }: SlackConfig): DeliveryError {
  const text = `Slack did not take the message for ${channel}: ${messageOf(error)}`
  if (error instanceof WebAPIRateLimitedError)
    return new DeliveryError('rate', text, { retryAfterMs: error.retryAfter * 1000, cause: error })
  if (error instanceof WebAPIPlatformError) {
    if (error.data.error === 'ratelimited' || error.data.error === 'rate_limited')
      return new DeliveryError('rate', text)
    const pointers = error.data.response_metadata?.messages?.join('; ') ?? ''
    const kind = passing.has(error.data.error) ? 'ambiguous' : 'permanent'
    return new DeliveryError(kind, pointers === '' ? text : `${text} (${pointers})`, { cause: error })
  }
  if (error instanceof WebAPIHTTPError) {
    const { statusCode } = error
    if (statusCode === 429) return new DeliveryError('rate', text)
    const isPermanent = statusCode >= 400 && statusCode < 500 && statusCode !== 408
    return new DeliveryError(isPermanent ? 'permanent' : 'ambiguous', text, { cause: error })
  }
  if (error instanceof WebAPIRequestError)
    return new DeliveryError(isUnreachable(error.original) ? 'transient' : 'ambiguous', text, { cause: error })
  if ((error as Error).name === 'CONFIG_INVALID') return new DeliveryError('permanent', text, { cause: error })
  // The client has no error of its own for a 429 without Retry-After.
  return new DeliveryError(/retry-after|rate.?limit|429/i.test(messageOf(error)) ? 'rate' : 'ambiguous', text, {
    cause: error,
  })
}
