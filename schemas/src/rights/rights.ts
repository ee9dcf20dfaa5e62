import { labelSelectorText } from '../policy/kubernetes-policy.ts'
import { parseSelector } from '../policy/selector/selector.ts'
import type { LabelSelectorSpec } from '../resources/kinds/kubernetes-network-policy.ts'
import type { PolicyRule, RoleRef, Subject } from '../resources/kinds/rbac.ts'
import type { Resource } from '../resources/resource.ts'
import type { Caller } from './caller.ts'

/** What can be done with resources. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

/** Something that somebody wants to do. */
export interface Attempt {
  readonly verb: Verb
  /** API group; empty for the core group. */
  readonly group: string
  /** Plural, or a pseudo-resource such as `tier.networkpolicies`. */
  readonly resource: string
  /** Null: at the scope of the cluster, that is, in every namespace. */
  readonly namespace: string | null
  /** Null: not about one object. */
  readonly name: string | null
}

/** What roles and bindings allow, as Kubernetes reads them. */
export interface Rights {
  allows(caller: Caller, attempt: Attempt): boolean
  /** True when the caller may do it to some object, in some namespace. */
  allowsSomewhere(caller: Caller, attempt: Pick<Attempt, 'verb' | 'group' | 'resource'>): boolean
  /** Bindings of the caller that give nothing since the Role they name is not there. */
  faults(caller: Caller): readonly string[]
}

/** Kinds of resources that rights are made from. */
export const rightsKinds: readonly string[] = ['ClusterRole', 'Role', 'ClusterRoleBinding', 'RoleBinding']

/** The group that may do everything, so that the first roles can be made. */
const masters = 'system:masters'

interface Binding {
  readonly title: string
  /** Null: everywhere. */
  readonly namespace: string | null
  readonly subjects: readonly Subject[]
  /** Null: the role does not exist. */
  readonly rules: readonly PolicyRule[] | null
  readonly role: RoleRef
}

type RoleResource = Resource & {
  readonly rules?: readonly PolicyRule[]
  readonly aggregationRule?: { readonly clusterRoleSelectors?: readonly LabelSelectorSpec[] }
}

/** Reads the roles and bindings among the resources. */
export function createRights(resources: readonly Resource[]): Rights {
  const rules = rulesOf(resources as readonly RoleResource[])
  const bindings = resources.flatMap((resource) => bindingOf(resource, rules))
  const of = (caller: Caller) =>
    bindings.filter(({ subjects }) => subjects.some((subject) => isSubject(subject, caller)))
  const isMaster = ({ groups }: Caller) => groups.includes(masters)
  return {
    allows: (caller, attempt) =>
      isMaster(caller) ||
      of(caller).some(
        ({ namespace, rules: given }) =>
          (namespace === null || namespace === attempt.namespace) &&
          given?.some((rule) => grants(rule, attempt) && isNamed(rule, attempt.name)) === true,
      ),
    allowsSomewhere: (caller, attempt) =>
      isMaster(caller) || of(caller).some(({ rules: given }) => given?.some((rule) => grants(rule, attempt)) === true),
    faults: (caller) =>
      of(caller)
        // A binding to a ClusterRole that is missing grants nothing and is no error (spec 14, 11).
        .filter(({ rules: given, role }) => given === null && role.kind === 'Role')
        .map(({ title, role }) => `${title} names the Role ${role.name}, which does not exist`),
  }
}

/** Rules by role: `ClusterRole <name>`, `Role <namespace>/<name>`. A ClusterRole that aggregates has those of the roles it selects. */
function rulesOf(resources: readonly RoleResource[]): ReadonlyMap<string, readonly PolicyRule[]> {
  const clusterRoles = resources.filter(({ kind }) => kind === 'ClusterRole')
  const aggregated = ({ aggregationRule }: RoleResource) =>
    (aggregationRule?.clusterRoleSelectors ?? [])
      .map((selector) => parseSelector(labelSelectorText(selector)))
      .flatMap(({ matches }) => clusterRoles.filter(({ metadata }) => matches(metadata.labels ?? {})))
      .flatMap(({ rules = [] }) => rules)
  return new Map([
    ...clusterRoles.map(
      (role) => [`ClusterRole ${role.metadata.name}`, [...(role.rules ?? []), ...aggregated(role)]] as const,
    ),
    ...resources
      .filter(({ kind }) => kind === 'Role')
      .map(({ metadata, rules = [] }) => [`Role ${metadata.namespace}/${metadata.name}`, rules] as const),
  ])
}

function bindingOf(resource: Resource, rules: ReadonlyMap<string, readonly PolicyRule[]>): Binding[] {
  const { kind, metadata } = resource
  if (kind !== 'ClusterRoleBinding' && kind !== 'RoleBinding') return []
  const { subjects = [], roleRef } = resource as Resource & { subjects?: Subject[]; roleRef: RoleRef }
  const namespace = kind === 'RoleBinding' ? (metadata.namespace ?? 'default') : null
  const role = roleRef.kind === 'Role' ? `Role ${namespace}/${roleRef.name}` : `ClusterRole ${roleRef.name}`
  const title = `${kind} ${namespace === null ? '' : `${namespace}/`}${metadata.name}`
  return [{ title, namespace, subjects, rules: rules.get(role) ?? null, role: roleRef }]
}

function isSubject({ kind, name, namespace }: Subject, { user, groups }: Caller): boolean {
  if (kind === 'Group') return groups.includes(name)
  return user === (kind === 'User' ? name : `system:serviceaccount:${namespace}:${name}`)
}

/** `delete` does not imply `deletecollection`, nor does any verb another. */
function grants(rule: PolicyRule, { verb, group, resource }: Pick<Attempt, 'verb' | 'group' | 'resource'>): boolean {
  const has = (list: readonly string[] | undefined, word: string) => list?.includes('*') || list?.includes(word)
  return Boolean(has(rule.verbs, verb) && has(rule.apiGroups, group) && has(rule.resources, resource))
}

function isNamed({ resourceNames = [] }: PolicyRule, name: string | null): boolean {
  return resourceNames.length === 0 || (name !== null && resourceNames.includes(name))
}
