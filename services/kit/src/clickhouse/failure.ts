import { ClickHouseError } from '@clickhouse/client'
import { MargayError, messageOf } from '../errors.ts'

/**
 * ClickHouse's numbers for "not now": overloaded, out of memory or space, replica read-only, stopping, outcome unknown.
 * The same request can succeed later; everything else stays refused however often it is sent.
 */
const notNow = new Set([202, 203, 209, 210, 225, 236, 242, 243, 252, 274, 319, 425, 439, 473, 998, 999])

/** Numbers that an insert may meet through no fault of its data: time and memory limits, a killed query. */
const notNowForInserts = new Set([159, 241, 394])

/** Numbers of what no other rows would change: unknown tables, columns, formats or settings, and who may do what. */
const ofTheSetup = new Set([16, 36, 47, 48, 60, 62, 73, 81, 115, 164, 192, 193, 194, 291, 497, 516])

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
    const details = { clickhouseCode: code, clickhouseName: error.type, data: what.insert && !ofTheSetup.has(code) }
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
