import { keyOf, type Resource } from '@margay/schemas'
import { expect, it } from 'vitest'
import { pluralOf } from '../../src/resources/admission.ts'
import type { Actor } from '../../src/resources/audit.ts'
import { createGuard } from '../../src/resources/guard.ts'
import type { ClusterView } from '../../src/resources/plan.ts'

const rbac = 'rbac.authorization.k8s.io/v1'
const role = (verbs: string[], resourceVersion: string): Resource => ({
  apiVersion: rbac,
  kind: 'ClusterRole',
  metadata: { name: 'pods', uid: 'r', resourceVersion },
  rules: [{ apiGroups: [''], resources: ['pods'], verbs }],
})
const binding: Resource = {
  apiVersion: rbac,
  kind: 'ClusterRoleBinding',
  metadata: { name: 'pods', uid: 'b', resourceVersion: '2' },
  roleRef: { kind: 'ClusterRole', name: 'pods' },
  subjects: [{ kind: 'User', name: 'dev' }],
}
const dev: Actor = { user: 'dev', groups: [], sourceIps: [], userAgent: '', requestUri: '', receivedAt: 0 }

/** A cluster that is asked while a change is on its way: the version is reserved already, the change not yet seen. */
const clusterOf = (resources: readonly Resource[]): ClusterView => ({
  version: 7,
  get: (key) => resources.find((resource) => keyOf(resource) === key) ?? null,
  list: (plural) => resources.filter((resource) => plural === undefined || pluralOf(keyOf(resource)) === plural),
})

it('reads roles anew when they change, whatever the version of the cluster', () => {
  const guard = createGuard('rbac', 'test')
  const may = (...resources: Resource[]) => guard.decide(clusterOf(resources), dev, 'get', 'pods.core/shop/web').allowed
  expect(may(role(['list'], '1'), binding)).toBe(false)
  expect(may(role(['get'], '7'), binding)).toBe(true)
  expect(may(role(['get'], '7'))).toBe(false)
})

it('lets everybody do everything when the configuration says none', () => {
  const guard = createGuard('none', 'test')
  const cluster = clusterOf([])
  expect(guard.decide(cluster, dev, 'delete', 'pods.core/shop/web').allowed).toBe(true)
  expect(guard.logs(cluster, dev, ['audit']).allowed).toBe(true)
  const { decision, shows } = guard.list(cluster, dev, { plural: 'pods.core', namespace: null, tier: null })
  expect([decision.allowed, shows(binding)]).toEqual([true, true])
})
