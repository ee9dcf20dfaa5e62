import type { AuditEvent } from '@margay/schemas'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startApi, type TestApi } from '../../../../test/harness/api.ts'
import { createMemoryLog, type MemoryLog } from '../../../../test/harness/memory-log.ts'

/**
 * secops own tier security; developers write policies of tier default in the namespace shop, and see the tiers by their names.
 */
const roles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: secops}
rules:
  - {apiGroups: [projectcalico.org], resources: [tiers], verbs: ["*"]}
  - {apiGroups: [projectcalico.org], resources: [tier.networkpolicies, tier.globalnetworkpolicies], resourceNames: [security.*], verbs: ["*"]}
  - {apiGroups: [""], resources: [serviceaccounts], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: secops}
roleRef: {kind: ClusterRole, name: secops}
subjects: [{kind: Group, name: secops}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sees-default}
rules: [{apiGroups: [projectcalico.org], resources: [tiers], resourceNames: [default], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sees-default}
roleRef: {kind: ClusterRole, name: sees-default}
subjects: [{kind: Group, name: developers}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: developer, namespace: shop}
rules:
  - {apiGroups: [projectcalico.org], resources: [tier.networkpolicies], resourceNames: [default.*], verbs: ["*"]}
  - {apiGroups: [""], resources: [pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers, namespace: shop}
roleRef: {kind: Role, name: developer}
subjects: [{kind: Group, name: developers}]
`
const policy = (name: string, tier: string, namespace = 'shop', order = 10) => `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: {tier: ${tier}, order: ${order}, selector: all(), types: [Ingress]}
`
const state = `---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.pci}
spec: {tier: security, selector: all(), types: [Ingress]}
${policy('security.local', 'security')}
${policy('web', 'default')}
${policy('web', 'default', 'bank')}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: bank}
`

/** What tests add. */
const added = `${policy('api', 'default')}${policy('security.more', 'security', 'bank')}---
apiVersion: v1
kind: Pod
metadata: {name: new, namespace: shop}
`

interface Who {
  readonly user: string
  readonly groups?: string
}
const root: Who = { user: 'root', groups: 'system:masters' }
const secops: Who = { user: 'sara', groups: 'secops' }
const dev: Who = { user: 'dev', groups: 'developers, others' }

let api: TestApi
let log: MemoryLog

async function ask(who: Who, method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, body?: string) {
  const answer = await fetch(`${api.url}/v1/${path}`, {
    method,
    headers: {
      'x-margay-user': who.user,
      ...(who.groups !== undefined && { 'x-margay-groups': who.groups }),
      ...(body !== undefined && { 'content-type': body.startsWith('{') ? 'application/json' : 'application/yaml' }),
    },
    ...(body !== undefined && { body }),
  })
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.json() }
}
const apply = (who: Who, text: string) => ask(who, 'POST', 'apply', text)
const names = async (who: Who, path: string) =>
  (await ask(who, 'GET', `resources/${path}`)).body.items.map(
    ({ metadata }: { metadata: { namespace?: string; name: string } }) =>
      [metadata.namespace, metadata.name].filter(Boolean).join('/'),
  )
const lastAudit = () =>
  log
    .records('margay.audit.v1')
    .flatMap(({ value }) => (value as Buffer).toString().trim().split('\n'))
    .map((line) => JSON.parse(line) as AuditEvent)
    .at(-1)

beforeAll(async () => {
  log = createMemoryLog()
  api = await startApi({ log, listen: true, api: { authorization: 'rbac' } })
  expect((await apply(root, roles)).status).toBe(200)
  expect((await apply(root, state)).status).toBe(200)
})
afterEach(async () => {
  // Every test finds the same cluster.
  await apply(root, roles + state)
  await ask(root, 'POST', 'delete', added)
})
afterAll(() => api.stop())

describe('writing', () => {
  test('everybody writes in the own tier', async () => {
    expect((await apply(dev, policy('api', 'default'))).status).toBe(200)
    expect((await apply(dev, policy('api', 'default', 'shop', 20))).body.results[0].result).toBe('configured')
    expect((await ask(dev, 'DELETE', 'resources/networkpolicies/api?namespace=shop')).status).toBe(200)
    expect((await apply(secops, policy('security.more', 'security', 'bank'))).status).toBe(200)
  })

  const inTier = (verb: string, tier: string, why = ' (user cannot get tier)', namespace = 'shop') =>
    `User "dev" cannot ${verb} networkpolicies.projectcalico.org in tier "${tier}" and namespace "${namespace}"${why}`
  const refused: readonly (readonly [
    what: string,
    method: 'PUT' | 'POST' | 'DELETE',
    path: string,
    body: string | undefined,
    reason: string,
  ])[] = [
    [
      'a policy in the tier of others',
      'POST',
      'apply',
      policy('security.mine', 'security'),
      inTier('create', 'security'),
    ],
    ['to change one', 'POST', 'apply', policy('security.local', 'security', 'shop', 1), inTier('patch', 'security')],
    [
      'to replace one',
      'PUT',
      'resources/networkpolicies/security.local?namespace=shop',
      policy('security.local', 'security'),
      inTier('update', 'security'),
    ],
    [
      'to delete one',
      'DELETE',
      'resources/networkpolicies/security.local?namespace=shop',
      undefined,
      inTier('delete', 'security'),
    ],
    ['to delete one by document', 'POST', 'delete', policy('security.local', 'default'), inTier('delete', 'security')],
    [
      'to delete one that does not exist',
      'DELETE',
      'resources/networkpolicies/security.none?namespace=shop',
      undefined,
      inTier('delete', 'security'),
    ],
    ['to move an own policy there', 'POST', 'apply', policy('web', 'security'), inTier('patch', 'security')],
    ['to move one of theirs here', 'POST', 'apply', policy('security.local', 'default'), inTier('patch', 'security')],
    [
      'the own tier in another namespace',
      'POST',
      'apply',
      policy('web', 'default', 'bank', 1),
      inTier('patch', 'default', '', 'bank'),
    ],
    [
      'a policy for the whole cluster',
      'POST',
      'apply',
      'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: all}\nspec: {selector: all()}\n',
      'User "dev" cannot create globalnetworkpolicies.projectcalico.org in tier "default"',
    ],
    [
      'a tier that comes first',
      'POST',
      'apply',
      'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: first}\nspec: {order: 1}\n',
      'User "dev" cannot create resource "tiers" in API group "projectcalico.org" at the cluster scope',
    ],
    [
      'a label on the own service account',
      'POST',
      'apply',
      'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop, labels: {PCI: "true"}}\n',
      'User "dev" cannot patch resource "serviceaccounts" in API group "" in the namespace "shop"',
    ],
    [
      'a label on the namespace',
      'POST',
      'apply',
      'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {zone: trusted}}\n',
      'User "dev" cannot create resource "namespaces" in API group "" at the cluster scope',
    ],
    [
      'a role',
      'POST',
      'apply',
      'apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: me}\nroleRef: {kind: ClusterRole, name: secops}\nsubjects: [{kind: User, name: dev}]\n',
      'User "dev" cannot create resource "clusterrolebindings" in API group "rbac.authorization.k8s.io" at the cluster scope',
    ],
  ]
  test.each(refused)('refused, and told to the audit log: %s', async (_, method, path, body, reason) => {
    const version = api.store.version
    const answer = await ask(dev, method, path, body)
    expect(answer).toMatchObject({
      status: 403,
      type: 'application/problem+json; charset=utf-8',
      body: { code: 'FORBIDDEN', title: 'Forbidden', detail: reason },
    })
    expect(api.store.version).toBe(version)
    expect(lastAudit()).toMatchObject({
      user: { username: 'dev', groups: ['developers', 'others', 'system:authenticated'] },
      verb: /cannot (\w+)/.exec(reason)?.[1],
      objectRef: { resource: expect.any(String), name: expect.any(String) },
      responseStatus: { code: 403, status: 'Failure', reason: 'FORBIDDEN', message: reason },
      annotations: { 'authorization.k8s.io/decision': 'forbid' },
    })
  })

  test('one document that is not allowed stops them all, also in a dry run', async () => {
    const both = policy('fine', 'default') + policy('security.mine', 'security')
    expect((await apply(dev, both)).status).toBe(403)
    expect((await ask(dev, 'POST', 'apply?dryRun=true', both)).status).toBe(403)
    expect((await ask(root, 'GET', 'resources/networkpolicies/fine?namespace=shop')).status).toBe(404)
  })

  test('a change of roles counts from the next request on', async () => {
    const text = policy('api', 'default')
    expect((await ask(root, 'DELETE', 'resources/rolebindings/developers?namespace=shop')).status).toBe(200)
    expect((await apply(dev, text)).status).toBe(403)
    expect((await apply(root, roles)).status).toBe(200)
    expect((await apply(dev, text)).status).toBe(200)
  })

  test('services of the product keep the cluster up to date', async () => {
    const pod = 'apiVersion: v1\nkind: Pod\nmetadata: {name: new, namespace: shop}\n'
    expect((await apply({ user: 'system:lab' }, pod)).status).toBe(200)
    expect((await apply({ user: 'system:anonymous' }, pod)).status).toBe(403)
    expect((await apply({ user: 'anonymous' }, pod)).status).toBe(403)
  })
})

describe('reading', () => {
  test('a policy whose tier one may not see', async () => {
    expect(await ask(dev, 'GET', 'resources/networkpolicies/security.local?namespace=shop')).toMatchObject({
      status: 403,
      body: {
        code: 'FORBIDDEN',
        detail:
          'User "dev" cannot get networkpolicies.projectcalico.org in tier "security" and namespace "shop" (user cannot get tier)',
      },
    })
    expect(lastAudit()).toMatchObject({ verb: 'get', user: { username: 'dev' }, responseStatus: { code: 403 } })
    // Nor is it told whether there is one of a name.
    expect((await ask(dev, 'GET', 'resources/networkpolicies/security.none?namespace=shop')).status).toBe(403)
    expect((await ask(dev, 'GET', 'resources/networkpolicies/none?namespace=shop')).status).toBe(404)
    expect((await ask(dev, 'GET', 'resources/networkpolicies/web?namespace=shop')).status).toBe(200)
    expect((await ask(dev, 'GET', 'resources/networkpolicies/web?namespace=bank')).status).toBe(403)
  })

  test('lists show what one may see, each object by itself', async () => {
    expect(await names(root, 'networkpolicies')).toEqual(['bank/web', 'shop/security.local', 'shop/web'])
    expect(await names(dev, 'networkpolicies')).toEqual(['shop/web'])
    expect(await names(secops, 'networkpolicies')).toEqual(['shop/security.local'])
    expect(await names(secops, 'globalnetworkpolicies')).toEqual(['security.pci'])
    expect(await names(dev, 'globalnetworkpolicies')).toEqual([])
    expect(await names(dev, 'tiers')).toEqual(['default'])
    expect(await names(secops, 'tiers')).toContain('security')
    expect(await names(dev, 'pods')).toEqual(['shop/web'])
    expect(await names(dev, 'pods?namespace=shop')).toEqual(['shop/web'])
  })

  test('a list of a tier that one may not see is refused in the words of Calico, and told', async () => {
    const list = (tier: string, namespace = '&namespace=shop') =>
      ask(dev, 'GET', `resources/networkpolicies?labelSelector=projectcalico.org/tier%3D${tier}${namespace}`)
    expect(await list('security')).toMatchObject({
      status: 403,
      body: {
        detail:
          'User "dev" cannot list networkpolicies.projectcalico.org in tier "security" and namespace "shop" (user cannot get tier)',
      },
    })
    const told = lastAudit()
    expect(told).toMatchObject({ verb: 'list', objectRef: { resource: 'networkpolicies', namespace: 'shop' } })
    expect(told?.objectRef).not.toHaveProperty('name')
    const own = await list('default', '')
    expect(own.body.items).toHaveLength(1)
  })

  test('a list of a kind of which one may see nothing is refused', async () => {
    expect(await ask(dev, 'GET', 'resources/secrets')).toMatchObject({
      status: 403,
      body: { detail: 'User "dev" cannot list resource "secrets" in API group "" at the cluster scope' },
    })
  })
})

describe('logs and reports', () => {
  const logs = (...names: string[]) => `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: analyst}
rules:
  - {apiGroups: [lma.tigera.io], resources: [test], resourceNames: ${JSON.stringify(names)}, verbs: [get]}
  - {apiGroups: [projectcalico.org], resources: [globalreports], resourceNames: [daily], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: analyst}
roleRef: {kind: ClusterRole, name: analyst}
subjects: [{kind: User, name: ana}]
`
  const ana: Who = { user: 'ana' }
  const status = async (who: Who, path: string) => (await ask(who, 'GET', path)).status
  const sql = async (who: Who) => (await ask(who, 'POST', 'sql', '{"query":"SELECT 1"}')).status
  /** Allowed questions find that this test has no ClickHouse. */
  const absent = 503

  test('events are read log by log, SQL by who may read all of them', async () => {
    expect((await apply(root, logs('flows', 'audit*'))).status).toBe(200)
    const seen = await Promise.all(
      ['flows', 'dns', 'l7', 'audit', 'snapshots', 'events', 'notifications', 'status'].map(
        async (dataSet) => `${dataSet} ${await status(ana, `events/${dataSet}`)}`,
      ),
    )
    expect(seen).toEqual([
      `flows ${absent}`,
      'dns 403',
      'l7 403',
      `audit ${absent}`,
      `snapshots ${absent}`,
      'events 403',
      'notifications 403',
      `status ${absent}`,
    ])
    expect([await status(ana, 'flows'), await status(dev, 'flows'), await status(ana, 'alerts')]).toEqual([
      absent,
      403,
      403,
    ])
    expect([await sql(ana), await sql(root)]).toEqual([403, absent])
    expect((await apply(root, logs('flows', 'audit*', 'dns', 'l7', 'events'))).status).toBe(200)
    expect([await sql(ana), await status(ana, 'alerts'), await status(ana, 'inbox')]).toEqual([absent, absent, absent])
    expect(await ask(dev, 'GET', 'events/audit')).toMatchObject({
      body: {
        detail:
          'User "dev" cannot get resource "test" in API group "lma.tigera.io" with the name "audit*", which the events of audit need',
      },
    })
    expect(lastAudit()).toMatchObject({ verb: 'get', requestURI: '/v1/events/audit', responseStatus: { code: 403 } })
  })

  test('reports are those of a GlobalReport', async () => {
    expect((await apply(root, logs('flows'))).status).toBe(200)
    expect([await status(ana, 'reports?name=daily'), await status(root, 'reports')]).toEqual([403, absent])
    const run = (name: string, who: Who) => ask(who, 'POST', `reports/${name}/run`, '{"start":"now-1h","end":"now"}')
    expect([(await run('daily', ana)).status, (await run('daily', root)).status]).toEqual([403, absent])
  })
})

describe('tiers, whoever asks', () => {
  test('one that holds policies stays, a built-in one stays, and no policy goes where there is none', async () => {
    expect(await ask(secops, 'DELETE', 'resources/tiers/security')).toMatchObject({
      status: 409,
      body: { code: 'TIER_NOT_EMPTY' },
    })
    for (const tier of ['default', 'kube-admin', 'kube-baseline'])
      expect(await ask(root, 'DELETE', `resources/tiers/${tier}`)).toMatchObject({
        status: 409,
        body: { code: 'TIER_BUILT_IN' },
      })
    expect(await apply(root, policy('a', 'nowhere'))).toMatchObject({ status: 422, body: { code: 'RESOURCE_INVALID' } })
  })
})

test('without rbac in the configuration roles mean nothing', async () => {
  const open = await startApi({ listen: true })
  try {
    const answer = await fetch(`${open.url}/v1/apply`, {
      method: 'POST',
      headers: { 'content-type': 'application/yaml' },
      body: state,
    })
    expect(answer.status).toBe(200)
  } finally {
    await open.stop()
  }
})
