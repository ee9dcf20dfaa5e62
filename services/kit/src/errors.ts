/**
 * An error that a person or a caller can act on: a stable code, a message that says what failed, on which thing and what to do.
 * Every code is in the catalogue of the service that raises it (`errors.ts`) and in the reference.
 */
export class MargayError extends Error {
  readonly code: string
  /** HTTP status, when it reaches a client. */
  readonly status: number
  /** Further members of the problem document. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: string,
    message: string,
    options: { status?: number; cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = code
    this.code = code
    this.status = options.status ?? 500
    this.details = options.details ?? {}
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Codes that the parts of kit raise, and when. */
export const errors = {
  CLICKHOUSE_REFUSED: 'ClickHouse refused a statement and would refuse it again; details.clickhouseCode is its number',
  CLICKHOUSE_UNAVAILABLE: 'ClickHouse does not answer or cannot do it now; the same request can succeed later',
  CONFIG_INVALID: 'the configuration has unknown keys, wrong values or a secret file that cannot be read',
  LOG_CORRUPT: 'the folder of the embedded event log holds something else, a newer layout or a damaged record',
  LOG_GROUP_ACTIVE: 'a consumer group was to be moved while it had a running member',
  LOG_RECORD_TOO_LARGE: 'a record is larger than the event log takes',
  LOG_TOPIC_UNKNOWN: 'a topic or partition of the event log does not exist',
  LOG_UNAVAILABLE: 'the event log cannot be reached, does not answer in time or refuses writes',
  NETNS_REFUSED: 'a thread could not enter a network namespace, or open a socket there',
  SCHEDULE_INVALID: 'a cron expression cannot be read; the message names the field',
} as const
