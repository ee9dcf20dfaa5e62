import { type Static, Type } from 'typebox'
import { type Check, defineKind } from '../kind.ts'
import { pathName } from '../name.ts'
import type { Resource } from '../resource.ts'
import { labelSelector, oneOf, optional } from '../schema.ts'

const texts = () => optional(Type.Array(Type.String()))
const policyRule = Type.Object({
  verbs: Type.Array(Type.String(), { minItems: 1 }),
  apiGroups: texts(),
  resources: texts(),
  resourceNames: texts(),
  nonResourceURLs: texts(),
})
const subject = Type.Object({
  kind: oneOf(['User', 'Group', 'ServiceAccount']),
  apiGroup: optional(Type.String()),
  name: Type.String({ minLength: 1 }),
  namespace: optional(Type.String()),
})
const roleRef = (kinds: readonly ('Role' | 'ClusterRole')[]) =>
  Type.Object({ apiGroup: optional(Type.String()), kind: oneOf(kinds), name: Type.String({ minLength: 1 }) })

/** One sentence of a role: verbs on resources, of some names only when these are given. */
export type PolicyRule = Static<typeof policyRule>
/** Somebody to whom a binding gives a role. */
export type Subject = Static<typeof subject>
/** The role that a binding gives. */
export type RoleRef = Static<ReturnType<typeof roleRef>>

const apiVersions = ['rbac.authorization.k8s.io/v1']

const rulesSayOnWhat: Check = (resource, report) => {
  for (const [index, rule] of ((resource as Resource & { rules?: PolicyRule[] }).rules ?? []).entries()) {
    if (rule.nonResourceURLs !== undefined) continue
    for (const field of ['apiGroups', 'resources'] as const) {
      if ((rule[field] ?? []).length === 0)
        report.error(['rules', index, field], 'required', `a rule about resources names ${field}`)
    }
  }
}

const accountsHaveNamespaces: Check = (resource, report) => {
  for (const [index, given] of ((resource as Resource & { subjects?: Subject[] }).subjects ?? []).entries()) {
    if (given.kind === 'ServiceAccount' && !given.namespace)
      report.error(['subjects', index, 'namespace'], 'required', 'a ServiceAccount is named with its namespace')
  }
}

const rules = { rules: optional(Type.Array(policyRule)) }

export const clusterRole = defineKind({
  kind: 'ClusterRole',
  plural: 'clusterroles',
  apiVersions,
  namespaced: false,
  members: Type.Object({
    ...rules,
    aggregationRule: optional(Type.Object({ clusterRoleSelectors: optional(Type.Array(labelSelector())) })),
  }),
  nameRule: pathName,
  checks: [rulesSayOnWhat],
})

export const role = defineKind({
  kind: 'Role',
  plural: 'roles',
  apiVersions,
  namespaced: true,
  members: Type.Object(rules),
  nameRule: pathName,
  checks: [rulesSayOnWhat],
})

const subjects = { subjects: optional(Type.Array(subject)) }

export const clusterRoleBinding = defineKind({
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  apiVersions,
  namespaced: false,
  members: Type.Object({ ...subjects, roleRef: roleRef(['ClusterRole']) }),
  nameRule: pathName,
  checks: [accountsHaveNamespaces],
})

export const roleBinding = defineKind({
  kind: 'RoleBinding',
  plural: 'rolebindings',
  apiVersions,
  namespaced: true,
  members: Type.Object({ ...subjects, roleRef: roleRef(['Role', 'ClusterRole']) }),
  nameRule: pathName,
  checks: [accountsHaveNamespaces],
})
