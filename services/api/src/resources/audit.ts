import type { AuditEvent, Resource, ResourceKey } from '@margay/schemas'
import { nameOf, namespaceOf, pluralOf } from './admission.ts'
import { declaredPart } from './content.ts'
import type { Outcome } from './plan.ts'

/** Who asks for a change, and how. */
export interface Actor {
  /** As in `alice` or `system:lab`. */
  readonly user: string
  readonly groups: readonly string[]
  readonly sourceIps: readonly string[]
  readonly userAgent: string
  readonly requestUri: string
  /** Unix milliseconds. */
  readonly receivedAt: number
}

/** Who asked, where and when. */
export interface AuditOptions {
  readonly actor: Actor
  readonly cluster: string
  readonly host: string
  /** When the answer is ready, unix milliseconds. */
  readonly now: number
  readonly uid: () => string
}

/** Annotation that holds the JSON text of the object before the change, so that a change can be shown as a difference. */
const beforeAnnotation = 'margay.dev/before'

/** Verb of a change of an existing object: PUT replaces (`update`), apply merges (`patch`). */
export type UpdateVerb = 'update' | 'patch'

/** The audit event of one change that was made. */
export function changeEvent(outcome: Outcome, update: UpdateVerb, options: AuditOptions): AuditEvent {
  const { key, result, before, after } = outcome
  const verb = result === 'created' ? 'create' : result === 'deleted' ? 'delete' : update
  const object = after ?? before
  const about = {
    ...envelope(verb, options),
    ...aboutObject(key, object, outcome.statusOnly ? 'status' : null),
    responseStatus: { code: result === 'created' ? 201 : 200, status: 'Success' },
  }
  if (isSecret(key)) return { ...about, level: 'Metadata' }
  return withinLimit({
    ...about,
    ...(after === null ? {} : { requestObject: declaredPart(after) }),
    ...(object === null ? {} : { responseObject: object }),
    annotations: {
      'authorization.k8s.io/decision': 'allow',
      ...(before === null ? {} : { [beforeAnnotation]: JSON.stringify(before) }),
    },
  })
}

/** Largest audit event, characters of JSON: with its block it must fit one record of any event log (1 MB in Kafka). */
const largestEvent = 768 * 1024

/**
 * Leaves copies of the object out of an event that is too large, the one that can best be missed first, and says so
 * in the annotation that Kubernetes uses for this.
 */
function withinLimit(event: AuditEvent): AuditEvent {
  const steps: ((shorter: AuditEvent) => void)[] = [
    (shorter) => delete shorter.requestObject,
    (shorter) => delete shorter.annotations?.[beforeAnnotation],
    (shorter) => delete shorter.responseObject,
  ]
  if (JSON.stringify(event).length <= largestEvent) return event
  const shorter = { ...event, annotations: { ...event.annotations, 'audit.k8s.io/truncated': 'true' } }
  for (const step of steps) {
    step(shorter)
    if (JSON.stringify(shorter).length <= largestEvent) break
  }
  return shorter
}

/** What a refused request wanted of one object (of a kind, where the key has no name); a null key when not even that could be read. */
export interface Refused {
  readonly key: ResourceKey | null
  readonly verb: 'get' | 'list' | 'create' | 'delete' | UpdateVerb
  readonly object: Resource | null
  readonly status: number
  readonly code: string
  readonly message: string
}

/** The audit event of one object of a request that was refused. */
export function refusalEvent(refused: Refused, options: AuditOptions): AuditEvent {
  return withinLimit({
    ...envelope(refused.verb, options),
    ...(refused.key === null ? {} : aboutObject(refused.key, refused.object, null)),
    responseStatus: { code: refused.status, status: 'Failure', message: refused.message, reason: refused.code },
    ...(refused.status === 403 ? { annotations: { 'authorization.k8s.io/decision': 'forbid' } } : {}),
    ...(refused.object === null || (refused.key !== null && isSecret(refused.key))
      ? {}
      : { requestObject: refused.object }),
  })
}

/** The audit log is read by more people than may read secrets: of those it keeps who and when, not what. */
const isSecret = (key: ResourceKey) => pluralOf(key) === 'secrets.core'

function envelope(verb: string, { actor, cluster, host, now, uid }: AuditOptions) {
  return {
    cluster,
    host,
    name: 'ee_audit' as const,
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Event',
    auditID: uid(),
    level: 'RequestResponse' as const,
    stage: 'ResponseComplete' as const,
    verb,
    requestURI: actor.requestUri,
    userAgent: actor.userAgent,
    user: { username: actor.user, groups: [...actor.groups] },
    sourceIPs: [...actor.sourceIps],
    requestReceivedTimestamp: actor.receivedAt,
    stageTimestamp: now,
  }
}

/** Calico's own kinds go to the log `ee_audit`, those of Kubernetes to `kube_audit` (spec 4.5). */
function aboutObject(key: ResourceKey, object: Resource | null, subresource: string | null) {
  const plural = pluralOf(key)
  const dot = plural.indexOf('.')
  const group = plural.slice(dot + 1)
  const namespace = namespaceOf(key)
  const isOurs = group === 'projectcalico.org' || group.endsWith('margay.dev')
  return {
    name: isOurs ? ('ee_audit' as const) : ('kube_audit' as const),
    objectRef: {
      resource: plural.slice(0, dot),
      ...(namespace === null ? {} : { namespace }),
      ...(nameOf(key) === '' ? {} : { name: nameOf(key) }),
      ...(group === 'core' ? {} : { apiGroup: group }),
      ...(object === null ? {} : { apiVersion: object.apiVersion.slice(object.apiVersion.indexOf('/') + 1) }),
      ...(object?.metadata.uid === undefined ? {} : { uid: object.metadata.uid }),
      ...(object?.metadata.resourceVersion === undefined ? {} : { resourceVersion: object.metadata.resourceVersion }),
      ...(subresource === null ? {} : { subresource }),
    },
  }
}
