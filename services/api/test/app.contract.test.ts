import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { startApi, type TestApi, type TestApiOptions } from '../../../test/harness/api.ts'

const running: TestApi[] = []
async function setUp(options: TestApiOptions = {}) {
  const api = await startApi(options)
  running.push(api)
  return api
}
afterEach(async () => {
  for (const api of running.splice(0)) await api.stop()
})

describe('every answer', () => {
  it('carries the security headers, refusals too', async () => {
    const { app } = await setUp()
    for (const headers of [{}, { host: 'evil.example' }]) {
      const answer = await app.inject({ url: '/v1/kinds', headers })
      expect(answer.headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      })
      expect(answer.headers['content-security-policy']).toContain("default-src 'self'")
      expect(answer.headers['content-security-policy']).not.toContain('unsafe-eval')
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
  })

  it('is a problem document when something is wrong', async () => {
    const { app } = await setUp({ access: { token: 'secret' } })
    const ask = async (headers: Record<string, string>) => app.inject({ url: '/v1/kinds', headers })
    const misdirected = await ask({ host: 'evil.example' })
    expect([misdirected.statusCode, misdirected.headers['content-type']]).toEqual([
      421,
      'application/problem+json; charset=utf-8',
    ])
    expect(misdirected.json()).toMatchObject({ type: 'about:blank', status: 421, code: 'HOST_REFUSED' })
    const unknown = await ask({})
    expect([unknown.statusCode, unknown.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    expect((await ask({ authorization: 'Bearer secret' })).statusCode).toBe(200)
    expect(
      (await app.inject({ url: '/v1/nothing', headers: { authorization: 'Bearer secret' } })).json(),
    ).toMatchObject({
      status: 404,
      code: 'NOT_FOUND',
    })
  })

  it('refuses writes of other origins', async () => {
    const { app, store } = await setUp()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/apply',
      headers: { 'content-type': 'text/plain', origin: 'http://evil.example' },
      payload: 'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: x}\n',
    })
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'ORIGIN_REFUSED'])
    expect(store.get('tiers.projectcalico.org/-/x')).toBeNull()
  })

  it('never shows what broke inside', async () => {
    const { app, store } = await setUp()
    Object.assign(store, {
      list() {
        throw new Error('secret detail')
      },
    })
    const answer = await app.inject('/v1/resources/tiers')
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'INTERNAL'])
    expect(answer.body).not.toContain('secret detail')
    expect(answer.body).not.toContain('.ts')
  })

  it('is refused for bodies beyond the limit and for unknown parameters', async () => {
    const { app } = await setUp({ api: { bodyLimit: '1KiB' } })
    const large = await app.inject({
      method: 'POST',
      url: '/v1/apply',
      payload: '#'.repeat(2000),
      headers: { 'content-type': 'application/yaml' },
    })
    expect([large.statusCode, large.json().code]).toEqual([413, 'BODY_TOO_LARGE'])
    const misspelt = await app.inject('/v1/resources/tiers?namspace=x')
    expect([misspelt.statusCode, misspelt.json().code]).toEqual([400, 'REQUEST_INVALID'])
    const binary = await app.inject({
      method: 'POST',
      url: '/v1/apply',
      payload: 'x',
      headers: { 'content-type': 'image/png' },
    })
    expect([binary.statusCode, binary.json().code]).toEqual([415, 'REQUEST_INVALID'])
  })
})

describe('a request', () => {
  it('must arrive within the time and the size of the configuration', async () => {
    const { app } = await setUp({ api: { requestTimeout: '7s', bodyLimit: '2MiB' } })
    expect(app.server.requestTimeout).toBe(7000)
    expect(app.initialConfig.bodyLimit).toBe(2 * 2 ** 20)
  })
})

describe('operations', () => {
  it('tell life, readiness with reasons, and metrics by operation', async () => {
    const { app, reporter } = await setUp()
    reporter.watch({ name: 'part', health: () => ({ state: 'down', reason: 'broken' }) })
    expect((await app.inject('/healthz')).statusCode).toBe(200)
    const ready = await app.inject('/readyz')
    expect([ready.statusCode, ready.json().reason]).toEqual([503, 'part: broken'])
    await app.inject('/v1/kinds')
    expect((await app.inject('/metrics')).body).toContain(
      'margay_api_requests_total{operation="listKinds",status="2xx"} 1',
    )
  })
})

describe('the console', () => {
  it('is a hint when it is not built', async () => {
    const { app } = await setUp()
    const answer = await app.inject('/')
    expect([answer.statusCode, answer.body]).toEqual([200, 'The console is not built: run npm run build.\n'])
  })

  it('is one page for every path, with files that never change beside it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'margay-console-'))
    try {
      mkdirSync(join(dir, 'assets'))
      writeFileSync(join(dir, 'index.html'), '<!doctype html><title>Margay</title>')
      writeFileSync(join(dir, 'assets', 'index-1a2b3c.js'), 'export {}')
      writeFileSync(join(dir, 'icon.svg'), '<svg/>')
      const { app } = await setUp({ consoleDir: dir })
      const shown = async (url: string) => {
        const { statusCode, headers } = await app.inject(url)
        return [statusCode, headers['content-type'], headers['cache-control']]
      }
      const page = [200, 'text/html; charset=utf-8', 'no-cache']
      expect(await shown('/')).toEqual(page)
      expect(await shown('/flows?q=action%20%3D%20deny')).toEqual(page)
      expect(await shown('/assets/index-1a2b3c.js')).toEqual([
        200,
        'application/javascript; charset=utf-8',
        'public, max-age=31536000, immutable',
      ])
      expect(await shown('/icon.svg')).toEqual([200, 'image/svg+xml', 'no-cache'])
      expect((await app.inject('/assets/gone.js')).statusCode).toBe(404)
      expect((await app.inject('/v1/gone')).headers['content-type']).toContain('application/problem+json')
      expect((await app.inject({ method: 'POST', url: '/flows' })).statusCode).toBe(404)
      expect((await app.inject('/..%2f..%2fetc%2fpasswd')).body).not.toContain('root:')
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
