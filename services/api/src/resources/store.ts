import { encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { EventLog, LogRecord } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import { type ResourceCache, versionHeader } from '@margay/kit/resources'
import {
  type AuditEvent,
  audit,
  keyOf,
  type Problem,
  type Resource,
  type ResourceKey,
  resourcesTopic,
} from '@margay/schemas'
import { admissionProblems, namespaceOf, pluralOf, requireDeletable, viewAfter } from './admission.ts'
import { type Actor, type AuditOptions, changeEvent, type Refused, refusalEvent, type UpdateVerb } from './audit.ts'
import { builtInResources } from './built-in.ts'
import type { Documents } from './documents.ts'
import type { Guard } from './guard.ts'
import { type ClusterView, type Outcome, planChanges, type Wanted } from './plan.ts'

/** A request to change resources. */
export interface WriteRequest extends Documents {
  /** apply: create or change, in place; put: create or replace one; delete. */
  readonly operation: 'apply' | 'put' | 'delete'
  readonly actor: Actor
  /** Work everything out, write nothing. */
  readonly dryRun?: boolean
}

/** What became of a write. */
export interface WriteResult {
  readonly outcomes: readonly Outcome[]
  readonly warnings: readonly Problem[]
}

/** Every resource of the cluster, with the only way to change one. */
export interface ResourceStore extends Component, ClusterView {
  /**
   * Carries out a request wholly or not at all, one request at a time, as one atomic append of records and audit events.
   * Throws RESOURCE_INVALID, FORBIDDEN, CONFLICT, TIER_BUILT_IN, TIER_NOT_EMPTY, NAMESPACE_BUILT_IN, RESOURCE_TOO_LARGE or
   * LOG_UNAVAILABLE.
   */
  write(request: WriteRequest): Promise<WriteResult>
  /** Tells the audit log that something was refused to somebody. */
  tellRefusal(actor: Actor, refused: readonly Refused[]): Promise<void>
}

/** Where resources are kept and who is told. */
export interface ResourceStoreDeps {
  readonly log: EventLog
  readonly cache: ResourceCache
  readonly reporter: Reporter
  readonly guard: Guard
  /** Unix milliseconds. */
  readonly now: () => number
  readonly uid: () => string
}

/**
 * The single writer of the resources topic. What it wrote is visible at once, before the cache has read it back:
 * `ahead` holds those few changes.
 */
export function createResourceStore(
  config: { readonly cluster: string; readonly host: string },
  { log, cache, reporter, guard, now, uid }: ResourceStoreDeps,
): ResourceStore {
  const ahead = new Map<ResourceKey, { readonly resource: Resource | null; readonly version: number }>()
  let reserved = 0
  let queue: Promise<unknown> = Promise.resolve()
  let trouble: string | null = null
  let endWatch: (() => void) | undefined
  const writes = reporter.counter('resource_writes_total', 'changes of resources by result', ['result'])
  const unaudited = reporter.counter(
    'refusals_unaudited_total',
    'refused requests whose audit event the log did not take',
  )

  const cluster: ClusterView = {
    get version() {
      return Math.max(reserved, cache.version)
    },
    get: (key) => (ahead.has(key) ? (ahead.get(key)?.resource ?? null) : cache.get(key)),
    list(plural) {
      const isWanted = (key: ResourceKey) => plural === undefined || pluralOf(key) === plural
      const fresh = [...ahead].filter(([key]) => isWanted(key))
      // The cache lists by bare plural, which two groups may share.
      const cached = cache.list(plural?.slice(0, plural.indexOf('.')))
      return [
        ...cached.filter((resource) => {
          const key = keyOf(resource)
          return isWanted(key) && !ahead.has(key)
        }),
        ...fresh.flatMap(([, { resource }]) => (resource === null ? [] : [resource])),
      ]
    },
  }

  /** Deleting a namespace deletes what is in it, as Kubernetes does. */
  function wantedOf({ operation, documents }: WriteRequest): Wanted[] {
    if (operation !== 'delete') return documents.map(({ key, resource }) => ({ key, resource }))
    const keys = new Set(documents.map(({ key }) => key))
    const namespaces = new Set(
      documents.filter(({ key }) => pluralOf(key) === 'namespaces.core').map(({ resource }) => resource.metadata.name),
    )
    if (namespaces.size > 0) {
      for (const resource of cluster.list()) {
        const key = keyOf(resource)
        if (namespaces.has(namespaceOf(key) ?? '')) keys.add(key)
      }
    }
    return [...keys].map((key) => ({ key, resource: null }))
  }

  function plan(request: WriteRequest): WriteResult {
    const { operation, actor, documents } = request
    requireValid(request.problems)
    guard.requireWrite(cluster, request)
    const outcomes = planChanges(cluster, wantedOf(request), {
      now: new Date(now()),
      uid,
      mayWriteStatus: actor.user.startsWith('system:'),
      mustExist: operation === 'put',
    })
    const after = viewAfter(cluster, outcomes)
    if (operation === 'delete') {
      requireDeletable(after, outcomes)
      return { outcomes, warnings: request.problems }
    }
    const found = admissionProblems(
      after,
      outcomes.map((outcome, i) => ({ ...outcome, document: documents[i] as (typeof documents)[number] })),
    )
    requireValid([...request.problems, ...found])
    return { outcomes, warnings: [...request.problems, ...found] }
  }

  async function commit(outcomes: readonly Outcome[], request: WriteRequest): Promise<void> {
    const changes = outcomes.filter(({ result }) => result !== 'unchanged' && result !== 'not-found')
    if (changes.length === 0) return
    const options = auditOptions(request.actor)
    const verb: UpdateVerb = request.operation === 'put' ? 'update' : 'patch'
    const newest = Math.max(...changes.map(({ version }) => version))
    // Reserved even if the append fails: a log that did not answer may have taken the records all the same.
    reserved = newest
    await append([...changes.map(recordOf), ...blocksOf(changes.map((change) => changeEvent(change, verb, options)))])
    for (const { key, after, version, result } of changes) {
      if (cache.version < version) ahead.set(key, { resource: after, version })
      writes.inc({ result })
    }
  }

  async function append(records: LogRecord[]): Promise<void> {
    try {
      await log.append(records)
      trouble = null
    } catch (error) {
      if (error instanceof MargayError && error.code === 'LOG_RECORD_TOO_LARGE') {
        throw new MargayError('RESOURCE_TOO_LARGE', `a resource is larger than the event log takes: ${error.message}`, {
          status: 413,
          cause: error,
        })
      }
      trouble = messageOf(error)
      throw new MargayError('LOG_UNAVAILABLE', `the event log did not take the change: ${trouble}; try again`, {
        status: 503,
        cause: error,
      })
    }
  }

  /** Tells the audit log of a refusal; that it cannot be told must not hide why the request was refused. */
  async function tellRefusal(actor: Actor, refused: readonly Refused[]): Promise<void> {
    const options = auditOptions(actor)
    try {
      await log.append(blocksOf(refused.map((each) => refusalEvent(each, options))))
    } catch {
      unaudited.inc(refused.length)
    }
  }

  const auditOptions = (actor: Actor): AuditOptions => ({ ...config, actor, now: now(), uid })
  const blocksOf = (events: readonly AuditEvent[]) =>
    encodeBlocks(audit, events, { cluster: config.cluster, producer: `api/${config.host}` })

  async function carryOut(request: WriteRequest): Promise<WriteResult> {
    try {
      const result = plan(request)
      if (request.dryRun !== true) await commit(result.outcomes, request)
      return result
    } catch (error) {
      if (error instanceof MargayError && error.status < 500 && request.dryRun !== true) {
        const refused = refusalsOf(request, error, cluster)
        writes.inc({ result: 'refused' }, refused.length)
        await tellRefusal(request.actor, refused)
      }
      throw error
    }
  }

  function write(request: WriteRequest): Promise<WriteResult> {
    const turn = queue.then(() => carryOut(request))
    queue = turn.catch(() => {})
    return turn
  }

  return {
    name: 'resource store',
    get version() {
      return cluster.version
    },
    get: cluster.get,
    list: cluster.list,
    write,
    tellRefusal,
    async start() {
      endWatch = cache.onChange(({ key, version }) => {
        if ((ahead.get(key)?.version ?? Number.POSITIVE_INFINITY) <= version) ahead.delete(key)
      })
      // Each version costs a record, so the end of the topic is never below the newest version, even when compaction
      // has removed the record that carried it.
      for (const { next } of await log.offsets(resourcesTopic)) reserved = Math.max(reserved, next)
      const missing = builtInResources.map((resource) => ({ key: keyOf(resource), resource }))
      await write({
        operation: 'apply',
        documents: missing.filter(({ key }) => cluster.get(key) === null),
        problems: [],
        actor: {
          user: 'system:api',
          groups: ['system:services', 'system:authenticated'],
          sourceIps: [],
          userAgent: 'margay-api',
          requestUri: '/v1/apply',
          receivedAt: now(),
        },
      })
    },
    async stop() {
      endWatch?.()
      await queue
    },
    health: () =>
      trouble === null ? { state: 'ok' } : { state: 'degraded', reason: `the last change was not taken: ${trouble}` },
  }
}

function requireValid(problems: readonly Problem[]): void {
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return
  const [first] = errors as [Problem]
  const place = [first.file, first.line].filter((part) => part !== undefined).join(':')
  throw new MargayError(
    'RESOURCE_INVALID',
    `${place === '' ? '' : `${place}: `}${first.path === '' ? '' : `${first.path}: `}${first.message}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}; nothing was written`,
    { status: 422, details: { problems } },
  )
}

function recordOf({ key, after, version }: Outcome): LogRecord {
  return {
    topic: resourcesTopic,
    key,
    value: after === null ? null : Buffer.from(JSON.stringify({ object: after })),
    headers: { [versionHeader]: String(version) },
  }
}

function refusalsOf(request: WriteRequest, error: MargayError, cluster: ClusterView): Refused[] {
  const { status, code, message } = error
  const { operation, documents } = request
  const verbFor = (key: ResourceKey): Refused['verb'] => {
    if (operation === 'delete') return 'delete'
    if (cluster.get(key) === null) return 'create'
    return operation === 'put' ? 'update' : 'patch'
  }
  if (documents.length === 0) {
    const verb = operation === 'put' ? 'update' : operation === 'apply' ? 'patch' : 'delete'
    return [{ key: null, verb, object: null, status, code, message }]
  }
  return documents.map(({ key, resource }) => ({ key, verb: verbFor(key), object: resource, status, code, message }))
}
