import { describe, expect, it } from 'vitest'
import { trailer } from '../src/front.ts'
import { isAuthorized, readOptions } from '../src/request.ts'

const post = (query: string, headers: Record<string, string> = {}) => ({ url: `/?${query}`, headers, method: 'POST' })

describe('a request', () => {
  it('is parted into settings, parameters and what concerns the server', () => {
    const options = readOptions(
      post(
        'query_id=q&database=d&max_threads=2&param_x=1%3B2&wait_end_of_query=1&http_x=1&readonly=1&default_format=CSV',
      ),
    )
    expect(options).toMatchObject({
      queryId: 'q',
      database: 'd',
      defaultFormat: 'CSV',
      params: [['x', '1;2']],
      settings: [['max_threads', '2']],
      readonly: 1,
    })
  })

  it.each(['max_threads%3D1%3B+DROP+TABLE+t=1', 'param_a%27=1', 'a%0Ab=1', '=1'])('refuses %s as a name', (query) => {
    expect(() => readOptions(post(query))).toThrow(/no name of a setting/)
  })

  it('never writes when it is a GET', () => {
    expect(readOptions({ ...post(''), method: 'GET' }).readonly).toBe(2)
  })

  it.each([
    [{ authorization: `Basic ${Buffer.from('default:se:cret').toString('base64')}` }, '', true],
    [{ 'x-clickhouse-user': 'default', 'x-clickhouse-key': 'se:cret' }, '', true],
    [{}, 'user=default&password=se%3Acret', true],
    [{}, '', false],
    [{ 'x-clickhouse-key': 'se:cre' }, '', false],
    [{ authorization: 'Basic !!' }, 'password=se%3Acret', false],
  ])('with %j and %j is let in: %s', (headers, query, expected) => {
    expect(isAuthorized(post(query, headers as Record<string, string>), 'se:cret')).toBe(expected)
  })

  it('ends with a trailer that tells the length of its message', () => {
    expect(trailer('T', 'boom')).toBe('\r\n__exception__\r\nT\nboom\n5 T\r\n__exception__\r\n')
  })
})
