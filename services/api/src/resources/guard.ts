import { MargayError } from '@margay/kit/errors'
import {
  type Caller,
  createRights,
  decide,
  decideLogs,
  isTiered,
  type Resource,
  type ResourceKey,
  type Rights,
  type RightsDecision,
  rightsKinds,
  type Target,
  tierOfName,
  type Verb,
} from '@margay/schemas'
import { nameOf, namespaceOf, pluralOf } from './admission.ts'
import type { Actor } from './audit.ts'
import type { ClusterView } from './plan.ts'
import type { WriteRequest } from './store.ts'

/** Who may do what with resources. With mode `none` everybody may do everything. */
export interface Guard {
  /** Throws FORBIDDEN when the request does something with any of its documents that its user may not do. */
  requireWrite(cluster: ClusterView, request: WriteRequest): void
  /** Whether the user may do it with one object; it need not exist. */
  decide(cluster: ClusterView, actor: Actor, verb: Verb, key: ResourceKey): RightsDecision
  /** Whether the user may list a kind (`<plural>.<group>`), and which of its objects are shown. */
  list(cluster: ClusterView, actor: Actor, wanted: ListWanted): GuardedList
  /** Whether the user may read the events of data sets. */
  logs(cluster: ClusterView, actor: Actor, dataSets: readonly string[]): RightsDecision
}

/** What somebody wants to list. */
export interface ListWanted {
  readonly plural: string
  /** Null: of all namespaces. */
  readonly namespace: string | null
  /** The one tier asked for; null when not said. */
  readonly tier: string | null
}

/** The answer to who wants to list. */
export interface GuardedList {
  readonly decision: RightsDecision
  shows(resource: Resource): boolean
}

const allowed: RightsDecision = { allowed: true }

/** The group of the product's own services, which keep the cluster's state up to date. */
const services = 'system:services'

/** Makes the guard of a cluster (its name is what roles call its logs by); roles and bindings are resources of the cluster itself. */
export function createGuard(mode: 'none' | 'rbac', name: string): Guard {
  if (mode === 'none') {
    return {
      requireWrite() {},
      decide: () => allowed,
      list: () => ({ decision: allowed, shows: () => true }),
      logs: () => allowed,
    }
  }
  let known: { readonly versions: string; readonly rights: Rights } | null = null

  function rightsOf(cluster: ClusterView): Rights {
    const resources = rightsPlurals.flatMap((plural) => cluster.list(plural))
    // Not the cluster's version: that grows before a change can be seen.
    const versions = resources.map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`).join()
    if (known?.versions !== versions) known = { versions, rights: createRights(resources) }
    return known.rights
  }
  /** Answers the questions of one request, by the roles as they are now. */
  function judgeOf(cluster: ClusterView, caller: Caller): (verb: Verb, target: Target) => RightsDecision {
    if (caller.groups.includes(services)) return () => allowed
    const rights = rightsOf(cluster)
    return (verb, target) => decide(rights, caller, verb, target)
  }

  /** True when the user may list or get some of it: in some namespace, or some by name. */
  function isPartly(cluster: ClusterView, actor: Actor, { group, plural, tier }: Target): boolean {
    const ofTier = { group, plural: 'tiers', namespace: null, name: tier, tier: null }
    if (tier !== null && !judgeOf(cluster, actor)('get', ofTier).allowed) return false
    const resource = tier === null ? plural : `tier.${plural}`
    const rights = rightsOf(cluster)
    return (['list', 'get'] as const).some((verb) => rights.allowsSomewhere(actor, { verb, group, resource }))
  }

  return {
    requireWrite(cluster, { actor, operation, documents }) {
      const judge = judgeOf(cluster, actor)
      for (const { key, resource } of documents) {
        const before = cluster.get(key)
        const verb =
          operation === 'delete' ? 'delete' : before === null ? 'create' : operation === 'put' ? 'update' : 'patch'
        // To move a policy one needs rights where it is and where it goes.
        const touched = operation === 'delete' ? [before ?? resource] : [before, resource]
        for (const each of touched) {
          const decision = each === null ? allowed : judge(verb, targetOf(key, each))
          if (!decision.allowed) throw forbidden(decision.reason)
        }
      }
    },
    decide: (cluster, actor, verb, key) => judgeOf(cluster, actor)(verb, targetOf(key, cluster.get(key))),
    list(cluster, actor, { plural, namespace, tier }) {
      const judge = judgeOf(cluster, actor)
      const whole: Target = { ...kindTarget(plural), namespace, name: null, tier }
      const shows = (resource: Resource) =>
        (['list', 'get'] as const).some((verb) => judge(verb, targetOf(keyIn(plural, resource), resource)).allowed)
      // Without a tier asked for, those of the tiers that the user may see are shown, be it none.
      if (isTiered(whole) && tier === null) return { decision: allowed, shows }
      const decision = judge('list', whole)
      if (decision.allowed) return { decision, shows: () => true }
      return { decision: isPartly(cluster, actor, whole) ? allowed : decision, shows }
    },
    logs: (cluster, actor, dataSets) =>
      actor.groups.includes(services) ? allowed : decideLogs(rightsOf(cluster), actor, { cluster: name, dataSets }),
  }
}

const rightsPlurals = rightsKinds.map((kind) => `${kind.toLowerCase()}s.rbac.authorization.k8s.io`)

/** The error of an attempt that is not allowed. */
export function forbidden(reason: string): MargayError {
  return new MargayError('FORBIDDEN', reason, { status: 403 })
}

function kindTarget(plural: string): Pick<Target, 'group' | 'plural'> {
  const dot = plural.indexOf('.')
  const group = plural.slice(dot + 1)
  return { group: group === 'core' ? '' : group, plural: plural.slice(0, dot) }
}

function targetOf(key: ResourceKey, resource: Resource | null): Target {
  const target = { ...kindTarget(pluralOf(key)), namespace: namespaceOf(key), name: nameOf(key) || null }
  if (!isTiered(target)) return { ...target, tier: null }
  if (resource === null) return { ...target, tier: tierOfName(target.name ?? '') }
  return { ...target, tier: (resource.spec as { tier?: string } | undefined)?.tier ?? 'default' }
}

const keyIn = (plural: string, { metadata }: Resource): ResourceKey =>
  `${plural}/${metadata.namespace ?? '-'}/${metadata.name}`
