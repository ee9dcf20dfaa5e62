import { createReporter } from '@margay/kit/reporter'
import { createResourceCache } from '@margay/kit/resources'
import { type AuditEvent, keyOf, type Resource, resourcesTopic } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../../test/harness/memory-log.ts'
import { readDocuments } from '../../src/resources/documents.ts'
import { createGuard } from '../../src/resources/guard.ts'
import { createResourceStore, type WriteRequest } from '../../src/resources/store.ts'

const auditTopic = 'margay.audit.v1'
const at = Date.parse('2026-03-01T12:00:00Z')

const policy = (name: string, extra = '') => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {order: 5, selector: all(), types: [Ingress]${extra}}
---`
const tier = (name: string, order: number) => `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: ${name}}
spec: {order: ${order}}
---`
const alert = (spec: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalAlert
metadata: {name: watch}
spec: {description: d, severity: 10, ${spec}}
---`
const namespace = (name: string) => `
apiVersion: v1
kind: Namespace
metadata: {name: ${name}}
---`

async function setUp(log = createMemoryLog(() => at)) {
  const reporter = createReporter('api', { level: 'silent' })
  const cache = createResourceCache({ log, reporter })
  let count = 0
  const uid = () => {
    count += 1
    return `uid-${count}`
  }
  const store = createResourceStore(
    { cluster: 'test', host: 'h' },
    { log, cache, reporter, guard: createGuard('none', 'test'), now: () => at, uid },
  )
  await cache.start?.()
  await store.start?.()
  const actor = (user = 'alice') => ({
    user,
    sourceIps: ['127.0.0.1'],
    userAgent: 'test/1',
    requestUri: '/v1/apply',
    receivedAt: at,
    groups: [],
  })
  const run = (operation: WriteRequest['operation'], text: string, { user = 'alice', dryRun = false } = {}) =>
    store.write({ ...readDocuments(text, 'x.yaml'), operation, actor: actor(user), dryRun })
  return {
    log,
    store,
    apply: (text: string, options?: { user?: string; dryRun?: boolean }) => run('apply', text, options),
    put: (text: string) => run('put', text),
    remove: (text: string, options?: { user?: string; dryRun?: boolean }) => run('delete', text, options),
    get: (key: string) => store.get(key) as Resource,
    audit: () =>
      log
        .records(auditTopic)
        .flatMap(({ value }) => (value as Buffer).toString().split('\n'))
        .map((line) => JSON.parse(line) as AuditEvent)
        .filter(({ user }) => user.username !== 'system:api'),
  }
}

const gnp = (name: string) => `globalnetworkpolicies.projectcalico.org/-/${name}`

describe('applying documents', () => {
  it('creates with uid, versions that count through the cluster, generation and creation time', async () => {
    const { apply, get } = await setUp()
    const { outcomes } = await apply(policy('a') + policy('b'))
    expect(outcomes.map(({ key, result }) => [key, result])).toEqual([
      [gnp('a'), 'created'],
      [gnp('b'), 'created'],
    ])
    expect(get(gnp('a')).metadata).toMatchObject({
      name: 'a',
      uid: 'uid-7',
      resourceVersion: '4',
      generation: 1,
      creationTimestamp: '2026-03-01T12:00:00Z',
    })
    expect(get(gnp('b')).metadata.resourceVersion).toBe('5')
  })

  it('writes nothing for what was read and applied again', async () => {
    const { apply, get, log } = await setUp()
    await apply(policy('a'))
    const before = log.records(resourcesTopic).length
    const { outcomes } = await apply(JSON.stringify(get(gnp('a'))))
    expect(outcomes[0]?.result).toBe('unchanged')
    expect(log.records(resourcesTopic)).toHaveLength(before)
  })

  it('writes nothing for an older copy that declares the same', async () => {
    const { apply, get } = await setUp()
    await apply(policy('a'))
    const copy = JSON.stringify(get(gnp('a')))
    await apply(policy('a', ', ingress: [{action: Deny}]'))
    await apply(policy('a'))
    expect((await apply(copy)).outcomes[0]?.result).toBe('unchanged')
  })

  it('counts generations for changes of the body only', async () => {
    const { apply, get } = await setUp()
    await apply(policy('a'))
    await apply(policy('a').replace('{name: a}', '{name: a, labels: {team: x}}'))
    expect(get(gnp('a')).metadata.generation).toBe(1)
    await apply(policy('a', ', ingress: [{action: Deny}]'))
    expect(get(gnp('a')).metadata.generation).toBe(2)
    expect(get(gnp('a')).metadata.uid).toBe('uid-7')
  })

  it('is all or nothing: one bad document keeps the good ones out', async () => {
    const { apply, store, log } = await setUp()
    const before = log.records(resourcesTopic).length
    await expect(apply(policy('good') + policy('bad', ', ingress: [{action: Maybe}]'))).rejects.toMatchObject({
      code: 'RESOURCE_INVALID',
      status: 422,
      details: { problems: [expect.objectContaining({ file: 'x.yaml', severity: 'error' })] },
    })
    expect(store.get(gnp('good'))).toBeNull()
    expect(log.records(resourcesTopic)).toHaveLength(before)
  })

  it('takes a repeated document once and refuses two different ones of one name', async () => {
    const { apply } = await setUp()
    expect((await apply(namespace('x') + namespace('x'))).outcomes).toHaveLength(1)
    await expect(apply(policy('a') + policy('a', ', ingress: [{action: Deny}]'))).rejects.toThrow(/given twice/)
  })

  it('answers a dry run with before and after, and writes neither record nor audit event', async () => {
    const { apply, get, log, audit } = await setUp()
    await apply(policy('a'))
    const records = log.records(resourcesTopic).length
    const { outcomes } = await apply(policy('a', ', ingress: [{action: Deny}]'), { dryRun: true })
    expect(outcomes[0]?.result).toBe('configured')
    expect(outcomes[0]?.before).toEqual(get(gnp('a')))
    expect(outcomes[0]?.after?.spec).toMatchObject({ ingress: [{ action: 'Deny' }] })
    expect(log.records(resourcesTopic)).toHaveLength(records)
    expect(audit()).toHaveLength(1)
  })

  it('shows a write at once', async () => {
    const { apply, store } = await setUp()
    await apply(policy('a'))
    expect(store.list('globalnetworkpolicies.projectcalico.org').map(({ metadata }) => metadata.name)).toEqual(['a'])
  })

  it('keeps writes in turn', async () => {
    const { apply, get } = await setUp()
    await Promise.all(Array.from({ length: 20 }, (_, i) => apply(policy(`p${i}`))))
    const versions = Array.from({ length: 20 }, (_, i) => Number(get(gnp(`p${i}`)).metadata.resourceVersion))
    expect(versions).toEqual(Array.from({ length: 20 }, (_, i) => i + 4))
  })
})

describe('concurrency', () => {
  it('refuses a version that is no longer the newest, and tells the newest', async () => {
    const { apply, get } = await setUp()
    await apply(policy('a'))
    const stale = { ...get(gnp('a')), spec: { selector: 'x == "1"', types: ['Ingress'] } }
    await apply(policy('a', ', ingress: [{action: Deny}]'))
    await expect(apply(JSON.stringify(stale))).rejects.toMatchObject({
      code: 'CONFLICT',
      status: 409,
      details: { currentVersion: '5' },
    })
  })

  it('restores a deleted copy by apply, and refuses to put it', async () => {
    const { apply, put, remove, get } = await setUp()
    await apply(policy('a'))
    const copy = JSON.stringify(get(gnp('a')))
    await remove(policy('a'))
    await expect(put(copy)).rejects.toMatchObject({ code: 'CONFLICT', details: { currentVersion: null } })
    expect((await apply(copy)).outcomes[0]?.result).toBe('created')
  })
})

describe('the log', () => {
  it('has records and audit events of one request or neither', async () => {
    const { apply, log, store } = await setUp()
    log.fail('before')
    await expect(apply(policy('a') + policy('b'))).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', status: 503 })
    log.fail('never')
    expect(store.get(gnp('a'))).toBeNull()
    expect(store.health?.()).toMatchObject({ state: 'degraded' })
    await apply(policy('a'))
    expect(store.health?.()).toEqual({ state: 'ok' })
  })

  it('never gives a version twice, not even after an append whose outcome is unknown', async () => {
    const { apply, log, get } = await setUp()
    log.fail('after')
    await expect(apply(policy('a'))).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
    log.fail('never')
    await apply(policy('b'))
    const versions = log.records(resourcesTopic).map(({ headers }) => headers['resource-version'])
    expect(new Set(versions).size).toBe(versions.length)
    expect(get(gnp('a')).metadata.resourceVersion).toBe('4')
  })

  it('is what a new process goes on from, with higher versions even if the newest was a deletion', async () => {
    const first = await setUp()
    await first.apply(policy('a') + policy('b'))
    await first.remove(policy('b'))
    const second = await setUp(first.log)
    expect(second.store.get(gnp('b'))).toBeNull()
    await second.apply(policy('c'))
    expect(Number(second.get(gnp('c')).metadata.resourceVersion)).toBeGreaterThan(6)
  })

  it('holds the built-in tiers after the first start, once', async () => {
    const { store, log } = await setUp()
    expect(
      store
        .list('tiers.projectcalico.org')
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(['default', 'kube-admin', 'kube-baseline'])
    await setUp(log)
    expect(log.records(resourcesTopic)).toHaveLength(3)
  })
})

describe('rules of the cluster', () => {
  it('refuses a policy in a tier that does not exist, unless the same request creates it', async () => {
    const { apply } = await setUp()
    await expect(apply(policy('a', ', tier: payments'))).rejects.toMatchObject({
      details: { problems: [expect.objectContaining({ rule: 'tier-exists', path: 'spec.tier', line: 2 })] },
    })
    expect((await apply(policy('a', ', tier: payments') + tier('payments', 50))).outcomes).toHaveLength(2)
  })

  it('warns of two tiers with one order', async () => {
    const { apply } = await setUp()
    const { warnings } = await apply(tier('x', 50) + tier('y', 50))
    expect(warnings.map(({ rule }) => rule)).toContain('tier-order-unique')
  })

  it('keeps tiers that hold policies or are built in', async () => {
    const { apply, remove, store } = await setUp()
    await apply(tier('payments', 50) + policy('a', ', tier: payments'))
    await expect(remove(tier('payments', 50))).rejects.toMatchObject({ code: 'TIER_NOT_EMPTY', status: 409 })
    await expect(remove(tier('default', 1_000_000))).rejects.toMatchObject({ code: 'TIER_BUILT_IN', status: 409 })
    await remove(tier('payments', 50) + policy('a', ', tier: payments'))
    expect(store.get('tiers.projectcalico.org/-/payments')).toBeNull()
  })

  it('deletes what is in a deleted namespace', async () => {
    const { apply, remove, store } = await setUp()
    const pod =
      '\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c}]}\n---'
    await apply(namespace('shop') + pod)
    const { outcomes } = await remove(namespace('shop'))
    expect(outcomes.map(({ key, result }) => [key, result])).toEqual([
      ['namespaces.core/-/shop', 'deleted'],
      ['pods.core/shop/p', 'deleted'],
    ])
    expect(store.get('pods.core/shop/p')).toBeNull()
    await expect(remove(namespace('default'))).resolves.toBeDefined()
    await apply(namespace('default'))
    await expect(remove(namespace('default'))).rejects.toMatchObject({ code: 'NAMESPACE_BUILT_IN' })
  })

  it('refuses alerts whose query, fields or templates do not fit the data set', async () => {
    const { apply } = await setUp()
    const rulesOf = (spec: string) =>
      apply(alert(spec)).then(
        () => [],
        (error: { details: { problems: { rule: string }[] } }) => error.details.problems.map(({ rule }) => rule),
      )
    expect(await rulesOf('dataSet: flows, query: "action = deny"')).toEqual([])
    expect(await rulesOf('dataSet: flows, query: "colour = red"')).toEqual(['query-parses'])
    expect(await rulesOf('dataSet: dns, query: "", aggregateBy: [dest_namespace]')).toEqual(['field-exists'])
    expect(
      await rulesOf(
        "dataSet: flows, aggregateBy: [dest_namespace], metric: count, condition: gt, threshold: 1, summary: '${count} in ${dest_namespace} by ${source_name}'",
      ),
    ).toEqual(['template-variable'])
  })
})

describe('status', () => {
  const pod = (extra: string) =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c}]}\n${extra}`

  it('is written by services, and from people only with a new Kubernetes object', async () => {
    const { apply, get } = await setUp()
    const status = () => get('pods.core/shop/p').status
    await apply(pod('status: {podIP: 10.0.0.1}'))
    expect(status()).toEqual({ podIP: '10.0.0.1' })
    expect((await apply(pod('status: {podIP: 10.0.0.2}'))).outcomes[0]?.result).toBe('unchanged')
    const { outcomes } = await apply(pod('status: {podIP: 10.0.0.3}'), { user: 'system:lab' })
    expect(outcomes[0]).toMatchObject({ result: 'configured', statusOnly: true })
    expect(status()).toEqual({ podIP: '10.0.0.3' })
    expect((await apply(pod(''))).outcomes[0]?.result).toBe('unchanged')
  })
})

describe('audit', () => {
  it('tells who did what to which object, with the object before and after', async () => {
    const { apply, put, remove, audit, get } = await setUp()
    await apply(policy('a'))
    const first = get(gnp('a'))
    await put(policy('a', ', ingress: [{action: Deny}]'))
    const second = get(gnp('a'))
    await apply(policy('a'), { user: 'bob' })
    const third = get(gnp('a'))
    await remove(policy('a'))
    const events = audit()
    expect(events.map(({ verb, user, responseStatus }) => [verb, user.username, responseStatus?.code])).toEqual([
      ['create', 'alice', 201],
      ['update', 'alice', 200],
      ['patch', 'bob', 200],
      ['delete', 'alice', 200],
    ])
    expect(events[1]).toMatchObject({
      name: 'ee_audit',
      level: 'RequestResponse',
      stage: 'ResponseComplete',
      objectRef: { resource: 'globalnetworkpolicies', name: 'a', apiGroup: 'projectcalico.org', apiVersion: 'v3' },
      requestObject: { metadata: { name: 'a' }, spec: second.spec },
      responseObject: second,
      sourceIPs: ['127.0.0.1'],
      userAgent: 'test/1',
      requestURI: '/v1/apply',
      stageTimestamp: at,
    })
    expect(JSON.parse(events[1]?.annotations?.['margay.dev/before'] as string)).toEqual(first)
    expect(events[3]?.responseObject).toEqual(third)
    expect(JSON.parse(events[3]?.annotations?.['margay.dev/before'] as string)).toEqual(third)
  })

  it('has Kubernetes objects in the log of Kubernetes, and changes of status by themselves', async () => {
    const { apply, audit } = await setUp()
    const pod = (ip: string) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c}]}\nstatus: {podIP: ${ip}}`
    await apply(pod('10.0.0.1'), { user: 'system:lab' })
    await apply(pod('10.0.0.2'), { user: 'system:lab' })
    expect(audit()).toMatchObject([
      { name: 'kube_audit', objectRef: { resource: 'pods', namespace: 'shop', name: 'p', apiVersion: 'v1' } },
      { name: 'kube_audit', objectRef: { subresource: 'status' } },
    ])
  })

  it('never holds what a Secret holds', async () => {
    const { apply, remove, log, audit } = await setUp()
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata: {password: aHVudGVyMg==}'
    await apply(secret)
    await remove(secret)
    await expect(apply(`${secret}\n---${policy('bad', ', tier: none')}`)).rejects.toThrow()
    expect(audit().map(({ verb, level }) => [verb, level])).toContainEqual(['create', 'Metadata'])
    for (const { value } of log.records(auditTopic)) expect(value?.toString()).not.toContain('aHVudGVyMg==')
  })

  it('leaves copies of an object out when the event would not fit a record of the log', async () => {
    const { apply, audit } = await setUp()
    const large = (first: string) => {
      const nets = Array.from(
        { length: 7_500 },
        (_, i) => `2001:0db8:0000:0000:0000:0000:0000:${(i + 4096).toString(16)}/128`,
      )
      return JSON.stringify({
        apiVersion: 'projectcalico.org/v3',
        kind: 'GlobalNetworkSet',
        metadata: { name: 'large' },
        spec: { nets: [first, ...nets] },
      })
    }
    await apply(large('1.0.0.0/8'))
    await apply(large('2.0.0.0/8'))
    const [created, changed] = audit()
    expect(created?.annotations).not.toHaveProperty(['audit.k8s.io/truncated'])
    expect(changed?.annotations).toMatchObject({ 'audit.k8s.io/truncated': 'true' })
    expect(changed).not.toHaveProperty('requestObject')
    expect(changed).toHaveProperty('responseObject')
    for (const event of audit()) expect(JSON.stringify(event).length).toBeLessThan(800_000)
  })

  it('tells of refused requests too', async () => {
    const { apply, put, remove, audit, get } = await setUp()
    await apply(policy('a'))
    await expect(apply(policy('b', ', tier: none'))).rejects.toThrow()
    await expect(
      put(JSON.stringify({ ...get(gnp('a')), spec: {}, metadata: { name: 'a', resourceVersion: '1' } })),
    ).rejects.toThrow()
    await expect(remove(tier('default', 1_000_000), { user: 'mallory' })).rejects.toThrow()
    await expect(apply('{"apiVersion": 5')).rejects.toThrow()
    expect(
      audit()
        .slice(1)
        .map(({ verb, user, objectRef, responseStatus }) => [
          verb,
          user.username,
          objectRef?.name,
          responseStatus?.code,
          responseStatus?.reason,
        ]),
    ).toEqual([
      ['create', 'alice', 'b', 422, 'RESOURCE_INVALID'],
      ['update', 'alice', 'a', 409, 'CONFLICT'],
      ['delete', 'mallory', 'default', 409, 'TIER_BUILT_IN'],
      ['patch', 'alice', undefined, 422, 'RESOURCE_INVALID'],
    ])
  })
})

it('keys of documents are those of the schemas', () => {
  const { documents } = readDocuments(policy('a'))
  expect(documents[0]?.key).toBe(keyOf(documents[0]?.resource as Resource))
})
