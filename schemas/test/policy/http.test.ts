import { describe, expect, test } from 'vitest'
import { normalPath } from '../../src/policy/http-match.ts'
import { aNamespace, aPod, clusterOf, np, tcp, verdictOf } from './make.ts'

describe('the path that a request means', () => {
  test.each<[string, string | null]>([
    ['/', '/'],
    ['/a/b?x=/c', '/a/b'],
    ['/a/b#c', '/a/b'],
    ['/a%20b', '/a b'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/../../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/a/%2e%2e/b', '/b'],
    ['/a\\b', '/a/b'],
    ['/a%5C..%5Cb', '/b'],
    ['/a;v=1/b;w=2', '/a/b'],
    ['/a;/../b', '/b'],
    ['/a/', '/a/'],
    ['/a%00b', null],
    ['/a%252e%252e/b', null],
    ['/a%252Fb', null],
    ['/a%255cb', null],
    ['/a%', null],
    ['/%ff', null],
    ['a/b', null],
    ['', null],
    ['*', null],
  ])('%j is %j', (text, path) => {
    expect(normalPath(text)).toBe(path)
  })
})

describe('a rule with criteria about requests', () => {
  const world = [
    aNamespace('shop'),
    aPod('shop/web', '10.0.0.1', { app: 'web' }),
    aPod('shop/api', '10.0.0.2', { app: 'api' }),
  ]
  type Http = Record<string, unknown>
  const allows = (http: Http, request?: { method: string; path: string; headers?: Record<string, string> }) => {
    const policy = np('shop/p', { selector: "app == 'web'", ingress: [{ action: 'Allow', protocol: 'TCP', http }] })
    const packet = tcp('10.0.0.2', '10.0.0.1', 80, request === undefined ? {} : { http: request })
    return verdictOf(clusterOf(...world, policy), packet) === 'allow'
  }
  const get = (path: string, headers: Record<string, string> = {}) => ({ method: 'GET', path, headers })

  test('is its addresses and ports alone where no proxy tells of a request', () => {
    expect(allows({ methods: ['PUT'] })).toBe(true)
  })

  test.each<[string, Http, string, Record<string, string>, boolean]>([
    ['a method', { methods: ['GET', 'PUT'] }, '/', {}, true],
    ['another method', { methods: ['PUT'] }, '/', {}, false],
    ['a method in another case', { methods: ['get'] }, '/', {}, false],
    ['the exact path', { paths: [{ exact: '/a' }] }, '/a?x', {}, true],
    ['the exact path is exact', { paths: [{ exact: '/a' }] }, '/a/b', {}, false],
    ['a prefix covers itself', { paths: [{ prefix: '/a' }] }, '/a', {}, true],
    ['a prefix covers what is below', { paths: [{ prefix: '/a' }] }, '/a/b', {}, true],
    ['a prefix ends at a segment', { paths: [{ prefix: '/a' }] }, '/ab', {}, false],
    ['a prefix with a slash at its end', { paths: [{ prefix: '/a/' }] }, '/a/b', {}, true],
    ['the root covers all', { paths: [{ prefix: '/' }] }, '/a/b', {}, true],
    ['one path of several', { paths: [{ exact: '/x' }, { prefix: '/a' }] }, '/a', {}, true],
    ['a way around a prefix', { paths: [{ prefix: '/a' }] }, '/a/%2e%2e/secret', {}, false],
    ['a path that cannot be read', { paths: [{ prefix: '/' }] }, '/%00', {}, false],
    ['a path and another method', { methods: ['PUT'], paths: [{ exact: '/a' }] }, '/a', {}, false],
    ['a header that is there', { headers: [{ header: 'X-Team', operator: 'Exists' }] }, '/', { 'x-team': '' }, true],
    ['a header that is not', { headers: [{ header: 'X-Team', operator: 'Exists' }] }, '/', {}, false],
    ['no such header', { headers: [{ header: 'X-Team', operator: 'DoesNotExist' }] }, '/', {}, true],
    ['such a header', { headers: [{ header: 'X-Team', operator: 'DoesNotExist' }] }, '/', { 'X-TEAM': 'a' }, false],
    ['a value in the list', { headers: [{ header: 'T', operator: 'In', values: ['a', 'b'] }] }, '/', { t: 'b' }, true],
    ['a value beside it', { headers: [{ header: 'T', operator: 'In', values: ['a'] }] }, '/', { t: 'A' }, false],
    ['no value for In', { headers: [{ header: 'T', operator: 'In', values: ['a'] }] }, '/', {}, false],
    [
      'a value not in the list',
      { headers: [{ header: 'T', operator: 'NotIn', values: ['a'] }] },
      '/',
      { t: 'b' },
      true,
    ],
    ['one in it', { headers: [{ header: 'T', operator: 'NotIn', values: ['a'] }] }, '/', { t: 'a' }, false],
    ['no value for NotIn', { headers: [{ header: 'T', operator: 'NotIn', values: ['a'] }] }, '/', {}, true],
    [
      'a beginning',
      { headers: [{ header: 'T', operator: 'HasPrefix', values: ['x', 'ab'] }] },
      '/',
      { t: 'abc' },
      true,
    ],
    [
      'another beginning',
      { headers: [{ header: 'T', operator: 'HasPrefix', values: ['b'] }] },
      '/',
      { t: 'abc' },
      false,
    ],
    ['an end', { headers: [{ header: 'T', operator: 'HasSuffix', values: ['bc'] }] }, '/', { t: 'abc' }, true],
    ['another end', { headers: [{ header: 'T', operator: 'HasSuffix', values: ['b'] }] }, '/', { t: 'abc' }, false],
    ['a pattern', { headers: [{ header: 'T', operator: 'MatchesRegex', values: ['^a.c$'] }] }, '/', { t: 'abc' }, true],
    [
      'a pattern in any case',
      { headers: [{ header: 'T', operator: 'MatchesRegex', values: ['(?i)B'] }] },
      '/',
      { t: 'abc' },
      true,
    ],
    [
      'another pattern',
      { headers: [{ header: 'T', operator: 'MatchesRegex', values: ['^b'] }] },
      '/',
      { t: 'abc' },
      false,
    ],
    [
      'all headers must fit',
      {
        headers: [
          { header: 'A', operator: 'Exists' },
          { header: 'B', operator: 'Exists' },
        ],
      },
      '/',
      { a: '1' },
      false,
    ],
  ])('%s', (_, http, path, headers, isAllowed) => {
    expect(allows(http, get(path, headers))).toBe(isAllowed)
  })
})
