import type { ClickHouse } from '@margay/kit/clickhouse'
import { clickHouseFailure } from '@margay/kit/clickhouse/failure'
import { MargayError, messageOf } from '@margay/kit/errors'

/** What a query cost. */
export interface Stats {
  readonly rowsRead: number
  readonly bytesRead: number
  readonly elapsedMs: number
}

/** Rows of a statement with the types of its columns. */
export interface Table {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly Record<string, unknown>[]
  readonly stats: Stats
}

/** Bound parameters, settings beside the limits, and the end of who asks. */
export interface SelectOptions {
  readonly params?: Readonly<Record<string, unknown>>
  readonly settings?: Readonly<Record<string, string | number>>
  readonly signal: AbortSignal
}

/** ClickHouse's answer in `FORMAT JSON`. */
interface Answer {
  readonly meta?: { name: string; type: string }[]
  readonly data: Record<string, unknown>[]
  readonly statistics?: { elapsed: number; rows_read: number; bytes_read: number }
}

/** Numbers as JSON numbers, also those of 64 bits: counters stay below 2^53 (schemas, `counter`). */
const form = { output_format_json_quote_64bit_integers: 0, output_format_json_quote_64bit_floats: 0 } as const

/**
 * Runs a SELECT. Throws SQL_FAILED or SQL_REFUSED (status 400, the server's message) when ClickHouse refuses it,
 * QUERY_TIMEOUT when it takes too long, CLICKHOUSE_UNAVAILABLE when there is no answer.
 */
export async function select(
  clickhouse: ClickHouse,
  sql: string,
  { params = {}, settings = {}, signal }: SelectOptions,
): Promise<Table> {
  let answer: Answer
  try {
    const result = await clickhouse.client.query({
      query: sql,
      query_params: { ...params },
      format: 'JSON',
      clickhouse_settings: { ...form, ...settings },
      abort_signal: signal,
    })
    answer = (await result.json()) as unknown as Answer
  } catch (error) {
    throw selectError(error, signal)
  }
  const { elapsed = 0, rows_read = 0, bytes_read = 0 } = answer.statistics ?? {}
  return {
    columns: answer.meta ?? [],
    rows: answer.data,
    stats: { rowsRead: rows_read, bytesRead: bytes_read, elapsedMs: Math.round(elapsed * 10_000) / 10 },
  }
}

/** Numbers of ClickHouse: the time limit of the statement, the gate of read-only requests. */
const timeoutExceeded = 159
const readOnly = 164

function selectError(error: unknown, signal: AbortSignal): MargayError {
  const timedOut = signal.aborted && (signal.reason as Error | undefined)?.name === 'TimeoutError'
  const failure = clickHouseFailure(error, { url: 'the configured address', insert: false })
  const { clickhouseCode: code, clickhouseName: name } = (failure instanceof MargayError ? failure.details : {}) as {
    clickhouseCode?: number
    clickhouseName?: string
  }
  if (timedOut || code === timeoutExceeded) {
    return new MargayError('QUERY_TIMEOUT', 'the query took too long: ask for a shorter time or fewer columns', {
      status: 504,
      cause: error,
    })
  }
  if (failure instanceof MargayError && failure.code === 'CLICKHOUSE_REFUSED') {
    // The server's own words, without what the adapter adds for logs.
    return new MargayError(code === readOnly ? 'SQL_REFUSED' : 'SQL_FAILED', messageOf(error).trim(), {
      status: 400,
      details: { clickhouse: { code, name } },
    })
  }
  return new MargayError('CLICKHOUSE_UNAVAILABLE', `${messageOf(failure)}; see margay status`, {
    status: 503,
    cause: error,
  })
}
