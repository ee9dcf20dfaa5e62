import {
  createCluster,
  keyOf,
  kindOf,
  parseSelector,
  type Resource,
  type ResourceKey,
  type Selector,
} from '@margay/schemas'
import { type AuditRecord, hasSucceeded } from './policy-audit.ts'
import { createScope, type EndpointsSelection } from './scope.ts'

/** Annotation in which the API keeps the object as it was before a change. */
export const beforeAnnotation = 'margay.dev/before'

/**
 * The endpoints of a cluster as time passes: a snapshot, then every audited change after it (spec 3.8).
 * It tells which changes of policies concern an endpoint in the scope of a report.
 */
export interface History {
  /** Moves on by one change. */
  replay(event: AuditRecord): void
  /** True when the policy that the event is about applied to an endpoint in scope, before the change or after it. */
  concerns(event: AuditRecord): boolean
}

/** Starts a history at a snapshot. Throws SelectorError when the selection cannot be read. */
export function createHistory(snapshot: readonly Resource[], selection: EndpointsSelection): History {
  const cluster = createCluster()
  const isInScope = createScope(selection)
  const policies = new Map<ResourceKey, Resource>()
  /** Keys in each namespace: when it goes, they go, and no audit event says so. */
  const inNamespace = new Map<string, Set<ResourceKey>>()

  function put(resource: Resource): void {
    if (kindOf(resource) === null) return
    const key = keyOf(resource)
    const { namespace } = resource.metadata
    if (namespace !== undefined) {
      const keys = inNamespace.get(namespace) ?? new Set()
      inNamespace.set(namespace, keys.add(key))
    }
    if (isPolicy(resource)) policies.set(key, resource)
    else if (isAboutEndpoints(resource)) cluster.apply(resource)
  }

  function drop(key: ResourceKey): void {
    policies.delete(key)
    cluster.remove(key)
    const [plural, , name] = key.split('/')
    if (plural !== 'namespaces.core') return
    for (const inside of inNamespace.get(name as string) ?? []) {
      policies.delete(inside)
      cluster.remove(inside)
    }
    inNamespace.delete(name as string)
  }

  function appliesInScope(policy: Resource | null): boolean {
    if (policy === null) return false
    const selector = selectorOf(policy)
    // What cannot be read is shown rather than hidden.
    if (selector === null) return true
    for (const endpoint of cluster.endpoints())
      if (isInScope(endpoint) && selector.matches(endpoint.labels)) return true
    return false
  }

  for (const resource of snapshot) put(resource)
  return {
    replay(event) {
      if (!hasSucceeded(event)) return
      const key = keyOfEvent(event)
      if (event.verb === 'delete') {
        if (key !== null) drop(key)
      } else if (isResource(event.responseObject)) put(event.responseObject)
    },
    concerns(event) {
      const key = keyOfEvent(event)
      const before = beforeOf(event) ?? (key === null ? null : (policies.get(key) ?? null))
      const after = event.verb === 'delete' ? null : event.responseObject
      const wanted = hasSucceeded(event) ? after : event.requestObject
      return appliesInScope(before) || appliesInScope(isResource(wanted) ? wanted : null)
    },
  }
}

/** Key of the object that an event is about; null when it does not say. */
function keyOfEvent({ objectRef }: AuditRecord): ResourceKey | null {
  if (objectRef?.resource === undefined || objectRef.name === undefined) return null
  return `${objectRef.resource}.${objectRef.apiGroup || 'core'}/${objectRef.namespace || '-'}/${objectRef.name}`
}

function beforeOf({ annotations }: AuditRecord): Resource | null {
  const text = annotations?.[beforeAnnotation]
  if (text === undefined) return null
  try {
    const before: unknown = JSON.parse(text)
    return isResource(before) ? before : null
  } catch {
    return null
  }
}

function isResource(value: unknown): value is Resource {
  const { kind, apiVersion, metadata } = (value ?? {}) as Partial<Resource>
  return typeof kind === 'string' && typeof apiVersion === 'string' && typeof metadata?.name === 'string'
}

const isPolicy = ({ kind }: Resource) => kind.endsWith('NetworkPolicy')
const isAboutEndpoints = ({ kind }: Resource) =>
  ['Pod', 'WorkloadEndpoint', 'HostEndpoint', 'Namespace', 'ServiceAccount', 'Profile'].includes(kind)

/** The endpoints that a policy selects, whatever its kind; null when it cannot be compiled. A deletion that is staged selects none. */
function selectorOf(policy: Resource): Selector | null {
  const alone = createCluster()
  const tier = (policy.spec as { tier?: string } | undefined)?.tier ?? 'default'
  try {
    alone.apply({ apiVersion: 'projectcalico.org/v3', kind: 'Tier', metadata: { name: tier }, spec: {} })
    alone.apply(policy)
    const [compiled] = alone.tiers().flatMap(({ policies }) => policies)
    return compiled === undefined ? null : parseSelector(compiled.selector)
  } catch {
    return null
  }
}
