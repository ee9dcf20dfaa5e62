import { describe, expect, test } from 'vitest'
import type { PolicyRule } from '../../src/resources/kinds/rbac.ts'
import { kindOf } from '../../src/resources/kinds.ts'
import { parseResources } from '../../src/resources/parse.ts'
import type { Resource } from '../../src/resources/resource.ts'
import { callerOf } from '../../src/rights/caller.ts'
import { decide, type Target } from '../../src/rights/decision.ts'
import { createRights, type Verb } from '../../src/rights/rights.ts'

const rbac = 'rbac.authorization.k8s.io/v1'
const calico = ['projectcalico.org']
const roleOf = (kind: 'Role' | 'ClusterRole', name: string, rules: PolicyRule[], namespace?: string): Resource => ({
  apiVersion: rbac,
  kind,
  metadata: { name, ...(namespace !== undefined && { namespace }) },
  rules,
})
const bindingOf = (
  role: string,
  user: string,
  namespace?: string,
  kind = namespace ? 'Role' : 'ClusterRole',
): Resource => ({
  apiVersion: rbac,
  kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
  metadata: { name: `${role}-${user}`, ...(namespace !== undefined && { namespace }) },
  subjects: [{ kind: 'User', name: user }],
  roleRef: { kind, name: role },
})
const tiers = (names: readonly string[] = [], verbs = ['get']): PolicyRule => ({
  apiGroups: calico,
  resources: ['tiers'],
  verbs,
  ...(names.length > 0 && { resourceNames: [...names] }),
})
const policies = (
  verbs: string[],
  names: readonly string[] = [],
  resources = ['tier.networkpolicies'],
): PolicyRule => ({
  apiGroups: calico,
  resources,
  verbs,
  ...(names.length > 0 && { resourceNames: [...names] }),
})
const np = (tier: string, name: string | null = 'p', namespace: string | null = 'shop'): Target => ({
  group: 'projectcalico.org',
  plural: 'networkpolicies',
  namespace,
  name,
  tier,
})
const gnp = (tier: string, name: string | null = 'p'): Target => ({
  ...np(tier, name, null),
  plural: 'globalnetworkpolicies',
})

/** Rules of a ClusterRole bound everywhere, or of a Role or ClusterRole bound in a namespace. */
interface Grant {
  readonly everywhere?: PolicyRule[]
  readonly inShop?: PolicyRule[]
}
const rightsOf = ({ everywhere = [], inShop = [] }: Grant) =>
  createRights([
    roleOf('ClusterRole', 'everywhere', everywhere),
    bindingOf('everywhere', 'dev'),
    roleOf('Role', 'local', inShop, 'shop'),
    bindingOf('local', 'dev', 'shop'),
  ])
const allows = (grant: Grant, verb: Verb, target: Target) =>
  decide(rightsOf(grant), callerOf('dev', []), verb, target).allowed

describe('policies of a tier', () => {
  const get = tiers()
  const rows: readonly (readonly [what: string, grant: Grant, verb: Verb, target: Target, allowed: boolean])[] = [
    ['nothing granted', {}, 'get', np('security'), false],
    ['the tier alone', { everywhere: [get] }, 'get', np('security'), false],
    ['the verb alone, not the tier', { everywhere: [policies(['get'])] }, 'get', np('security'), false],
    ['both', { everywhere: [get, policies(['get'])] }, 'get', np('security'), true],
    ['another verb', { everywhere: [get, policies(['get'])] }, 'update', np('security'), false],
    [
      'get of that tier only: that tier',
      { everywhere: [tiers(['security']), policies(['get'])] },
      'get',
      np('security'),
      true,
    ],
    [
      'get of that tier only: another',
      { everywhere: [tiers(['security']), policies(['get'])] },
      'get',
      np('default'),
      false,
    ],
    [
      'all policies of a tier',
      { everywhere: [get, policies(['create'], ['security.*'])] },
      'create',
      np('security', 'x'),
      true,
    ],
    [
      'all policies of a tier, another tier',
      { everywhere: [get, policies(['create'], ['security.*'])] },
      'create',
      np('default', 'x'),
      false,
    ],
    ['one policy by its name', { everywhere: [get, policies(['get'], ['p'])] }, 'get', np('security', 'p'), true],
    [
      'one policy by tier and name',
      { everywhere: [get, policies(['get'], ['security.p'])] },
      'get',
      np('security', 'p'),
      true,
    ],
    [
      'one policy that carries the tier in its name',
      { everywhere: [get, policies(['get'], ['security.p'])] },
      'get',
      np('security', 'security.p'),
      true,
    ],
    [
      'one policy, another asked for',
      { everywhere: [get, policies(['get'], ['p'])] },
      'get',
      np('security', 'q'),
      false,
    ],
    [
      'one policy does not allow to list its tier',
      { everywhere: [get, policies(['list'], ['p'])] },
      'list',
      np('security', null),
      false,
    ],
    [
      'the tier by name allows to list it',
      { everywhere: [get, policies(['list'], ['security.*'])] },
      'list',
      np('security', null),
      true,
    ],
    [
      'no names: every tier that may be got',
      { everywhere: [get, policies(['list'])] },
      'list',
      np('anything', null),
      true,
    ],
    [
      'the plain resource is not the tiered one',
      { everywhere: [get, policies(['*'], [], ['networkpolicies'])] },
      'get',
      np('security'),
      false,
    ],
    ['namespaced does not mean global', { everywhere: [get, policies(['*'])] }, 'get', gnp('security'), false],
    [
      'global does not mean namespaced',
      { everywhere: [get, policies(['*'], [], ['tier.globalnetworkpolicies'])] },
      'get',
      np('security'),
      false,
    ],
    [
      'staged is a kind of its own',
      { everywhere: [get, policies(['*'])] },
      'get',
      { ...np('security'), plural: 'stagednetworkpolicies' },
      false,
    ],
    ['a role in the namespace', { everywhere: [get], inShop: [policies(['*'])] }, 'delete', np('default'), true],
    [
      'a role in the namespace, another namespace',
      { everywhere: [get], inShop: [policies(['*'])] },
      'delete',
      np('default', 'p', 'bank'),
      false,
    ],
    [
      'a role in the namespace, every namespace',
      { everywhere: [get], inShop: [policies(['*'])] },
      'list',
      np('default', null, null),
      false,
    ],
    [
      'tiers are of the cluster: a role in a namespace does not give one',
      { inShop: [get, policies(['*'])] },
      'get',
      np('default'),
      false,
    ],
    [
      'list of tiers is not get',
      { everywhere: [tiers([], ['list', 'watch']), policies(['*'])] },
      'get',
      np('default'),
      false,
    ],
    [
      'deletecollection is a verb of its own',
      { everywhere: [get, policies(['delete'])] },
      'deletecollection',
      np('default', null),
      false,
    ],
    ['every verb', { everywhere: [get, policies(['*'])] }, 'deletecollection', np('default', null), true],
    ['every resource of the group', { everywhere: [policies(['*'], [], ['*'])] }, 'patch', np('default'), true],
    [
      'another group',
      { everywhere: [{ ...policies(['*'], [], ['*']), apiGroups: ['apps'] }] },
      'patch',
      np('default'),
      false,
    ],
  ]
  test.each(rows)('%s', (_, grant, verb, target, allowed) => {
    expect(allows(grant, verb, target)).toBe(allowed)
  })

  test('who may not is told why, in the words that Calico uses', () => {
    const reason = (grant: Grant, target: Target, verb: Verb = 'list') => {
      const decision = decide(rightsOf(grant), callerOf('dev', []), verb, target)
      return decision.allowed ? null : decision.reason
    }
    expect(reason({}, np('security', null))).toBe(
      'User "dev" cannot list networkpolicies.projectcalico.org in tier "security" and namespace "shop" (user cannot get tier)',
    )
    expect(reason({ everywhere: [get] }, np('security', null))).toBe(
      'User "dev" cannot list networkpolicies.projectcalico.org in tier "security" and namespace "shop"',
    )
    expect(reason({}, gnp('security'), 'delete')).toBe(
      'User "dev" cannot delete globalnetworkpolicies.projectcalico.org in tier "security" (user cannot get tier)',
    )
    expect(
      reason({}, { group: '', plural: 'serviceaccounts', namespace: 'shop', name: 'a', tier: null }, 'patch'),
    ).toBe('User "dev" cannot patch resource "serviceaccounts" in API group "" in the namespace "shop"')
    expect(
      reason({}, { group: 'projectcalico.org', plural: 'tiers', namespace: null, name: 'a', tier: null }, 'create'),
    ).toBe('User "dev" cannot create resource "tiers" in API group "projectcalico.org" at the cluster scope')
  })

  test('policies of Kubernetes, staged or not, are in no tier', () => {
    const grant = (resources: string[], apiGroups: string[]): Grant => ({
      inShop: [{ apiGroups, resources, verbs: ['*'] }],
    })
    const kubernetes: Target = {
      group: 'networking.k8s.io',
      plural: 'networkpolicies',
      namespace: 'shop',
      name: 'p',
      tier: null,
    }
    expect(allows(grant(['networkpolicies'], ['networking.k8s.io']), 'create', kubernetes)).toBe(true)
    const staged: Target = { ...kubernetes, group: 'projectcalico.org', plural: 'stagedkubernetesnetworkpolicies' }
    expect(allows(grant(['stagedkubernetesnetworkpolicies'], calico), 'create', staged)).toBe(true)
  })
})

describe('roles and bindings', () => {
  const pods: Target = { group: '', plural: 'pods', namespace: 'shop', name: 'a', tier: null }
  const podRule: PolicyRule = { apiGroups: [''], resources: ['pods'], verbs: ['get'] }
  const may = (resources: readonly Resource[], user: string, groups: readonly string[] = []) =>
    decide(createRights(resources), callerOf(user, groups), 'get', pods)

  test('a binding to a missing ClusterRole grants nothing and is no error; to a missing Role it is one', () => {
    expect(may([bindingOf('absent', 'dev')], 'dev')).toEqual({
      allowed: false,
      reason: expect.not.stringContaining('absent'),
    })
    expect(may([bindingOf('absent', 'dev', 'shop')], 'dev')).toEqual({
      allowed: false,
      reason: expect.stringContaining('(RoleBinding shop/absent-dev names the Role absent, which does not exist)'),
    })
    const other = [roleOf('ClusterRole', 'r', [podRule]), bindingOf('r', 'dev')]
    expect(may([bindingOf('absent', 'dev', 'shop'), ...other], 'dev').allowed).toBe(true)
  })

  test('a ClusterRole may be bound in one namespace', () => {
    const bound = [roleOf('ClusterRole', 'r', [podRule]), bindingOf('r', 'dev', 'shop', 'ClusterRole')]
    expect(may(bound, 'dev').allowed).toBe(true)
    expect(decide(createRights(bound), callerOf('dev', []), 'get', { ...pods, namespace: 'bank' }).allowed).toBe(false)
  })

  test('subjects are users, groups and service accounts', () => {
    const bound = (subject: Record<string, string>): Resource[] => [
      roleOf('ClusterRole', 'r', [podRule]),
      { ...bindingOf('r', 'x'), subjects: [subject] },
    ]
    expect(may(bound({ kind: 'User', name: 'dev' }), 'dev').allowed).toBe(true)
    expect(may(bound({ kind: 'User', name: 'dev' }), 'Dev').allowed).toBe(false)
    expect(may(bound({ kind: 'Group', name: 'secops' }), 'dev', ['secops']).allowed).toBe(true)
    expect(may(bound({ kind: 'Group', name: 'dev' }), 'dev').allowed).toBe(false)
    expect(may(bound({ kind: 'Group', name: 'system:authenticated' }), 'dev').allowed).toBe(true)
    expect(may(bound({ kind: 'Group', name: 'system:authenticated' }), 'anonymous').allowed).toBe(false)
    expect(may(bound({ kind: 'Group', name: 'system:unauthenticated' }), 'anonymous').allowed).toBe(true)
    const account = { kind: 'ServiceAccount', name: 'ci', namespace: 'shop' }
    expect(may(bound(account), 'system:serviceaccount:shop:ci').allowed).toBe(true)
    expect(may(bound(account), 'system:serviceaccount:bank:ci').allowed).toBe(false)
    expect(
      may(bound({ kind: 'Group', name: 'system:serviceaccounts:shop' }), 'system:serviceaccount:shop:ci').allowed,
    ).toBe(true)
  })

  test('the group system:masters may do everything, so that the first roles can be made', () => {
    expect(may([], 'root', ['system:masters']).allowed).toBe(true)
    expect(decide(createRights([]), callerOf('root', ['system:masters']), 'delete', gnp('security')).allowed).toBe(true)
  })

  test('a ClusterRole that aggregates has the rules of those it selects', () => {
    const part: Resource = {
      ...roleOf('ClusterRole', 'part', [podRule]),
      metadata: { name: 'part', labels: { to: 'view' } },
    }
    const view: Resource = {
      ...roleOf('ClusterRole', 'view', []),
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'view' } }] },
    }
    expect(may([part, view, bindingOf('view', 'dev')], 'dev').allowed).toBe(true)
    expect(may([roleOf('ClusterRole', 'part', [podRule]), view, bindingOf('view', 'dev')], 'dev').allowed).toBe(false)
  })

  test('are resources that the reader knows, and checks', () => {
    const text = (body: string, kind = 'ClusterRole') =>
      `apiVersion: ${rbac}\nkind: ${kind}\nmetadata: {name: "system:a"}\n${body}`
    const found = (body: string, kind?: string) =>
      parseResources(text(body, kind)).problems.map(({ path, rule }) => `${path} ${rule}`)
    expect(
      found(
        'rules: [{apiGroups: [""], resources: [pods], verbs: [get]}, {nonResourceURLs: ["/metrics"], verbs: [get]}]',
      ),
    ).toEqual([])
    expect(found('rules: [{resources: [pods], verbs: [get]}]')).toEqual(['rules[0].apiGroups required'])
    expect(found('rules: [{apiGroups: [""], resources: [pods]}]')).toEqual(['rules[0].verbs required'])
    expect(found('roleRef: {kind: Role, name: a}', 'ClusterRoleBinding')).toEqual(['roleRef.kind one-of'])
    expect(found('roleRef: {kind: Role, name: a}\nsubjects: [{kind: ServiceAccount, name: a}]', 'RoleBinding')).toEqual(
      ['subjects[0].namespace required'],
    )
    for (const kind of ['ClusterRole', 'Role', 'ClusterRoleBinding', 'RoleBinding'])
      expect(kindOf({ apiVersion: rbac, kind })?.namespaced).toBe(!kind.startsWith('Cluster'))
  })
})
