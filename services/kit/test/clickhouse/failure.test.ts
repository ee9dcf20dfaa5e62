import { ClickHouseError } from '@clickhouse/client'
import { describe, expect, it } from 'vitest'
import { clickHouseFailure } from '../../src/clickhouse/failure.ts'
import type { MargayError } from '../../src/errors.ts'

const url = 'http://clickhouse'
const told = (code: number, message = 'what it says') =>
  new ClickHouseError({ code: String(code), message, type: 'NAME' })
const judge = (error: unknown, insert = false) => clickHouseFailure(error, { url, insert }) as MargayError

describe('a failure of ClickHouse', () => {
  it.each([
    [202, false, 'CLICKHOUSE_UNAVAILABLE'],
    [252, true, 'CLICKHOUSE_UNAVAILABLE'],
    [241, false, 'CLICKHOUSE_REFUSED'],
    [241, true, 'CLICKHOUSE_UNAVAILABLE'],
    [159, false, 'CLICKHOUSE_REFUSED'],
    [159, true, 'CLICKHOUSE_UNAVAILABLE'],
    [60, true, 'CLICKHOUSE_REFUSED'],
    [516, true, 'CLICKHOUSE_REFUSED'],
    [1002, true, 'CLICKHOUSE_UNAVAILABLE'],
  ])('number %i (insert: %s) is %s', (code, insert, expected) => {
    expect(judge(told(code), insert)).toMatchObject({ code: expected, details: { clickhouseCode: code, data: false } })
  })

  it('blames the rows only when ClickHouse does', () => {
    expect(judge(told(27), true).details.data).toBe(true)
    expect(judge(told(27), false).details.data).toBe(false)
    expect(judge(told(306, 'too deep: (at row 7)'), true).details.data).toBe(true)
    expect(judge(told(49, 'a bug of ClickHouse'), true).details.data).toBe(false)
  })

  it.each([
    new Error('connect ECONNREFUSED 127.0.0.1:8123'),
    Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }),
    new Error('Timeout error.'),
    new Error('<html>502 Bad Gateway</html>'),
    Object.assign(new Error(''), { code: 'ENOTFOUND' }),
  ])('is something to try again when there was no answer: %s', (error) => {
    expect(judge(error)).toMatchObject({ code: 'CLICKHOUSE_UNAVAILABLE', message: expect.stringContaining(url) })
  })

  it('is none when the caller left', () => {
    expect(judge(new Error('The user aborted a request.'))).toMatchObject({ name: 'AbortError' })
  })
})
