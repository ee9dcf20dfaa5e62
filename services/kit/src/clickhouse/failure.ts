import { ClickHouseError } from '@clickhouse/client'
import { MargayError, messageOf } from '../errors.ts'

/**
 * ClickHouse's numbers for "not now": overloaded, out of memory or space, replica read-only, stopping, outcome unknown,
 * a failure that is none of ClickHouse's own.
 * The same request can succeed later; everything else stays refused however often it is sent.
 */
const notNow = new Set([
  202, 203, 209, 210, 225, 236, 242, 243, 252, 274, 319, 425, 439, 473, 998, 999, 1000, 1001, 1002,
])

/** Numbers that an insert may meet through no fault of its data: time and memory limits, a killed query. */
const notNowForInserts = new Set([159, 241, 394])

/** Numbers that say: a value in these rows cannot be stored. Most of them come with the row, as in `(at row 5)`. */
const ofTheData = new Set([
  6, 25, 26, 27, 32, 33, 34, 35, 38, 41, 53, 69, 70, 72, 117, 128, 130, 131, 190, 321, 349, 376, 407, 441, 467, 675,
  676, 691,
])

/**
 * Turns what the ClickHouse client threw into a MargayError: CLICKHOUSE_UNAVAILABLE when the same request can succeed later,
 * CLICKHOUSE_REFUSED when it cannot. `details.clickhouseCode` is ClickHouse's number, `details.data` is true when the rows
 * of an insert are at fault.
 */
export function clickHouseFailure(error: unknown, what: { readonly url: string; readonly insert: boolean }): unknown {
  if (error instanceof MargayError) return error
  if (error instanceof Error && error.name === 'AbortError') return error
  if (error instanceof ClickHouseError || isTyped(error)) {
    const code = Number(error.code)
    const details = {
      clickhouseCode: code,
      clickhouseName: error.type,
      data: what.insert && (ofTheData.has(code) || /\(at row \d+\)/.test(error.message)),
    }
    const options = { cause: error, details }
    const text = `${error.message.trim()} (${error.type ?? 'unknown'}, code ${code})`
    if (notNow.has(code) || (what.insert && notNowForInserts.has(code)))
      return new MargayError('CLICKHOUSE_UNAVAILABLE', `ClickHouse at ${what.url} cannot do this now: ${text}`, options)
    return new MargayError('CLICKHOUSE_REFUSED', `ClickHouse refused a statement: ${text}`, { ...options, status: 400 })
  }
  const message = messageOf(error)
  if (/abort/i.test(message) && !/ECONNABORTED|socket/i.test(message))
    return Object.assign(new Error(message), { name: 'AbortError' })
  return new MargayError(
    'CLICKHOUSE_UNAVAILABLE',
    `ClickHouse at ${what.url} does not answer (${message || (error as NodeJS.ErrnoException).code}): it is tried again`,
    { cause: error, details: {} },
  )
}

function isTyped(error: unknown): error is ClickHouseError {
  return error instanceof Error && /^\d+$/.test(String((error as { code?: unknown }).code)) && 'type' in error
}
