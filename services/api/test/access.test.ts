import { describe, expect, it } from 'vitest'
import { type AccessRequest, type AccessRules, createAccessCheck, requireSafeListener } from '../src/access.ts'

const rules: AccessRules = { host: '127.0.0.1', allowedHosts: ['margay.example'], token: null }

function codeOf(request: Partial<AccessRequest>, changes: Partial<AccessRules> = {}): string {
  try {
    createAccessCheck({ ...rules, ...changes })({
      method: 'GET',
      path: '/v1/status',
      localAddress: '127.0.0.1',
      ...request,
      headers: { host: 'localhost:8080', ...request.headers },
    })
    return 'ok'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('the listener', () => {
  it.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1'])('needs no token on %s', (host) => {
    expect(() => requireSafeListener(host, null)).not.toThrow()
  })

  it.each(['0.0.0.0', '::', '10.0.0.5', 'margay.example', '127.0.0.1.example'])('needs a token on %s', (host) => {
    expect(() => requireSafeListener(host, null)).toThrow(/api.tokenFile/)
    expect(() => requireSafeListener(host, 'secret')).not.toThrow()
  })
})

describe('the Host header', () => {
  it.each([
    'localhost:8080',
    'LOCALHOST',
    '127.0.0.1:8080',
    '[::1]:8080',
    'margay.example',
    'margay.example:443',
    'localhost.',
  ])('may be %s', (host) => {
    expect(codeOf({ headers: { host } })).toBe('ok')
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '10.0.0.5:8080',
    '',
    'evil.example:localhost',
  ])('may not be %s', (host) => {
    expect(codeOf({ headers: { host } })).toBe('HOST_REFUSED')
  })

  it('may be missing in no request', () => {
    expect(codeOf({ headers: { host: undefined } })).toBe('HOST_REFUSED')
  })

  it('may be the very address of the connection, which no name can be made to point to', () => {
    expect(codeOf({ headers: { host: '10.0.0.5:8080' }, localAddress: '10.0.0.5' })).toBe('ok')
    expect(codeOf({ headers: { host: '10.0.0.5' }, localAddress: '::ffff:10.0.0.5' })).toBe('ok')
    expect(codeOf({ headers: { host: '[fd00::5]' }, localAddress: 'fd00::5' })).toBe('ok')
  })
})

describe('the token', () => {
  const withToken = { token: 'correct-horse' }
  const bearer = (value: string) => ({ headers: { authorization: value } })

  it('is asked for on every route that tells or changes something, also on loopback', () => {
    for (const path of ['/v1/status', '/v1/apply', '/metrics', '/openapi.json']) {
      expect(codeOf({ path }, withToken)).toBe('TOKEN_REFUSED')
    }
  })

  it('is not asked for by probes and by the files of the console', () => {
    for (const path of ['/healthz', '/readyz', '/', '/assets/index-1a2b.js'])
      expect(codeOf({ path }, withToken)).toBe('ok')
  })

  it('must be exactly the configured one', () => {
    expect(codeOf(bearer('Bearer correct-horse'), withToken)).toBe('ok')
    expect(codeOf(bearer('bearer correct-horse'), withToken)).toBe('ok')
    for (const value of ['Bearer wrong', 'Bearer correct-horse2', 'Bearer ', 'Basic correct-horse', 'correct-horse']) {
      expect(codeOf(bearer(value), withToken)).toBe('TOKEN_REFUSED')
    }
  })
})

describe('the Origin header', () => {
  const write = (headers: AccessRequest['headers']) => codeOf({ method: 'POST', path: '/v1/apply', headers })
  const follow = (headers: AccessRequest['headers']) =>
    codeOf({ path: '/v1/flows', headers: { accept: 'text/event-stream', ...headers } })

  it('is absent for command lines and services', () => {
    expect(write({})).toBe('ok')
    expect(follow({})).toBe('ok')
  })

  it('must be the page that this API serves, for writes and for streams', () => {
    for (const ask of [write, follow]) {
      expect(ask({ origin: 'http://localhost:8080' })).toBe('ok')
      for (const origin of [
        'http://evil.example',
        'http://localhost:9999',
        'null',
        'http://localhost:8080.evil.example',
      ]) {
        expect(ask({ origin })).toBe('ORIGIN_REFUSED')
      }
      expect(ask({ 'sec-fetch-site': 'cross-site' })).toBe('ORIGIN_REFUSED')
    }
  })

  it('is no matter for plain reads, whose answer another origin cannot see', () => {
    expect(codeOf({ headers: { origin: 'http://evil.example' } })).toBe('ok')
  })
})
