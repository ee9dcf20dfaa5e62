import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startApi, type TestApi } from '../../../../test/harness/api.ts'
import { createMemoryLog, type MemoryLog } from '../../../../test/harness/memory-log.ts'

let api: TestApi
let log: MemoryLog
beforeAll(async () => {
  log = createMemoryLog()
  api = await startApi({ log })
})
afterAll(() => api.stop())
afterEach(async () => {
  log.fail('never')
  for (const kind of ['pods', 'networksets']) {
    const list = (await api.app.inject(`/v1/resources/${kind}`)).body
    await send('POST', '/v1/delete', list, { 'content-type': 'application/json' })
  }
})

const yaml = { 'content-type': 'application/yaml' }
const pods = `apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart, env: prod}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: test, labels: {app: cart}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ledger, namespace: shop, labels: {app: ledger}}
spec: {containers: [{name: c}]}
`
const set = (nets: string, extra = '') =>
  `apiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s, namespace: shop${extra}}\nspec: {nets: [${nets}]}\n`
const send = async (method: 'POST' | 'PUT' | 'DELETE', url: string, payload?: string, headers = {}) => {
  const answer = await api.app.inject({
    method,
    url,
    ...(payload === undefined ? {} : { payload }),
    headers: { ...yaml, ...headers },
  })
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers }
}
const names = async (url: string) =>
  (await api.app.inject(url))
    .json()
    .items.map(({ metadata }: { metadata: { namespace?: string; name: string } }) =>
      [metadata.namespace, metadata.name].filter(Boolean).join('/'),
    )

describe('reading', () => {
  beforeEach(async () => {
    await send('POST', '/v1/apply', pods)
  })

  it('lists all namespaces or one, by plural, short name, kind or plural with group', async () => {
    expect(await names('/v1/resources/pods')).toEqual(['shop/cart', 'shop/ledger', 'test/cart'])
    expect(await names('/v1/resources/po?namespace=test')).toEqual(['test/cart'])
    expect(await names('/v1/resources/Pod?namespace=none')).toEqual([])
    expect(await names('/v1/resources/tiers.projectcalico.org')).toEqual(['default', 'kube-admin', 'kube-baseline'])
  })

  it('lists by label selector', async () => {
    const q = (selector: string) => names(`/v1/resources/pods?labelSelector=${encodeURIComponent(selector)}`)
    expect(await q('app=cart')).toEqual(['shop/cart', 'test/cart'])
    expect(await q('app=cart,env')).toEqual(['shop/cart'])
    expect((await api.app.inject('/v1/resources/pods?labelSelector=a~b')).statusCode).toBe(400)
  })

  it('gives one resource with its version as ETag, and problems for what there is not', async () => {
    const answer = await api.app.inject('/v1/resources/pods/cart?namespace=shop')
    expect(answer.json()).toMatchObject({ kind: 'Pod', metadata: { name: 'cart', namespace: 'shop' } })
    expect(answer.headers.etag).toBe(`"${answer.json().metadata.resourceVersion}"`)
    expect((await api.app.inject('/v1/resources/pods/cart')).json()).toMatchObject({ status: 404, code: 'NOT_FOUND' })
    expect((await api.app.inject('/v1/resources/unicorns')).json()).toMatchObject({ status: 404, code: 'KIND_UNKNOWN' })
  })

  it('tells the kinds', async () => {
    const { kinds } = (await api.app.inject('/v1/kinds')).json()
    expect(kinds).toContainEqual(expect.objectContaining({ kind: 'Tier', plural: 'tiers', namespaced: false }))
  })
})

describe('writing', () => {
  it('applies documents as the user that the header names', async () => {
    const { status, body } = await send('POST', '/v1/apply?file=a.yaml', set('10.0.0.0/8'), {
      'x-margay-user': 'alice\u0007',
    })
    expect(status).toBe(200)
    expect(body.results).toEqual([
      expect.objectContaining({
        key: 'networksets.projectcalico.org/shop/s',
        kind: 'NetworkSet',
        namespace: 'shop',
        name: 's',
        result: 'created',
        resource: expect.objectContaining({ spec: { nets: ['10.0.0.0/8'] } }),
      }),
    ])
    const events = log.records('margay.audit.v1').map(({ value }) => (value as Buffer).toString())
    expect(JSON.parse(events.at(-1) as string)).toMatchObject({
      user: { username: 'alice' },
      sourceIPs: ['127.0.0.1'],
      requestURI: '/v1/apply?file=a.yaml',
    })
  })

  it('is a no-op for what reading gave, as JSON and as a list', async () => {
    await send('POST', '/v1/apply', set('10.0.0.0/8'))
    const list = (await api.app.inject('/v1/resources/networksets')).body
    const { body } = await send('POST', '/v1/apply', list, { 'content-type': 'application/json' })
    expect(body.results.map(({ result }: { result: string }) => result)).toEqual(['unchanged'])
  })

  it('answers a dry run with before and after', async () => {
    await send('POST', '/v1/apply', set('10.0.0.0/8'))
    const { body } = await send('POST', '/v1/apply?dryRun=true', set('10.1.0.0/16'))
    expect(body.results[0]).toMatchObject({
      result: 'configured',
      before: { spec: { nets: ['10.0.0.0/8'] } },
      resource: { spec: { nets: ['10.1.0.0/16'] } },
    })
    expect((await api.app.inject('/v1/resources/networksets/s?namespace=shop')).json().spec.nets).toEqual([
      '10.0.0.0/8',
    ])
  })

  it('lists every problem with file and line, and warns of unknown kinds', async () => {
    const { status, body } = await send(
      'POST',
      '/v1/apply?file=sets.yaml',
      `${set('10.0.0.0/8')}---\n${set('not-a-net')}`,
    )
    expect([status, body.code]).toEqual([422, 'RESOURCE_INVALID'])
    expect(body.problems).toEqual([expect.objectContaining({ file: 'sets.yaml', line: 9, severity: 'error' })])
    const unknown = await send('POST', '/v1/apply', 'apiVersion: example.com/v1\nkind: Unicorn\nmetadata: {name: u}\n')
    expect(unknown.body).toMatchObject({ results: [], warnings: [{ rule: 'unknown-kind' }] })
  })

  it('puts one resource: creates, replaces, and refuses a stale version or another name', async () => {
    const url = '/v1/resources/networksets/s?namespace=shop'
    const created = await send('PUT', url, set('10.0.0.0/8'))
    expect(created).toMatchObject({ status: 201, body: { result: 'created' } })
    const changed = await send('PUT', url, set('10.1.0.0/16'))
    expect(changed).toMatchObject({ status: 200, body: { result: 'configured' } })
    const stale = `, resourceVersion: "${created.body.resource.metadata.resourceVersion}"`
    expect(await send('PUT', url, set('10.2.0.0/16', stale))).toMatchObject({
      status: 409,
      body: { code: 'CONFLICT', currentVersion: changed.body.resource.metadata.resourceVersion },
    })
    expect(await send('PUT', '/v1/resources/networksets/t?namespace=shop', set('10.0.0.0/8'))).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    })
    expect((await send('PUT', url, set('nonsense'))).body.code).toBe('RESOURCE_INVALID')
  })

  it('deletes by name and by document', async () => {
    await send('POST', '/v1/apply', set('10.0.0.0/8'))
    const one = await api.app.inject({ method: 'DELETE', url: '/v1/resources/networksets/s?namespace=shop' })
    expect(one.json()).toMatchObject({ result: 'deleted', before: { spec: { nets: ['10.0.0.0/8'] } } })
    expect(
      (await api.app.inject({ method: 'DELETE', url: '/v1/resources/networksets/s?namespace=shop' })).statusCode,
    ).toBe(404)
    const { body } = await send('POST', '/v1/delete', set('10.0.0.0/8'))
    expect(body.results).toMatchObject([{ kind: 'NetworkSet', result: 'not-found' }])
    const tier = await api.app.inject({ method: 'DELETE', url: '/v1/resources/tiers/default' })
    expect([tier.statusCode, tier.json().code]).toEqual([409, 'TIER_BUILT_IN'])
  })

  it('is 503 with the reason while the log is away; reads go on', async () => {
    log.fail('before')
    expect(await send('POST', '/v1/apply', set('10.0.0.0/8'))).toMatchObject({
      status: 503,
      body: { code: 'LOG_UNAVAILABLE' },
    })
    expect((await api.app.inject('/v1/resources/tiers')).statusCode).toBe(200)
  })
})
