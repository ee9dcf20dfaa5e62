import { MargayError } from '@margay/kit/errors'
import type { Resource, ResourceKey } from '@margay/schemas'
import { canonicalJson, declaredPart, declaresSame, declaresSameBody } from './content.ts'

/** The resources of a cluster at one moment. */
export interface ClusterView {
  readonly version: number
  get(key: ResourceKey): Resource | null
  list(plural?: string): Resource[]
}

/** One resource as a request wants it; a null resource is to be deleted. */
export interface Wanted {
  readonly key: ResourceKey
  readonly resource: Resource | null
}

/** What became, or would become, of one resource. */
export interface Outcome {
  readonly key: ResourceKey
  readonly result: 'created' | 'configured' | 'unchanged' | 'deleted' | 'not-found'
  readonly before: Resource | null
  readonly after: Resource | null
  /** Resource version of the change; the current one when nothing changed. */
  readonly version: number
  /** Only the status differs. */
  readonly statusOnly: boolean
}

/** Under which rules a write is planned. */
export interface PlanOptions {
  readonly now: Date
  /** A new random UUID. */
  readonly uid: () => string
  /** Services of the product (`system:...`) may write status; from people it is ignored. */
  readonly mayWriteStatus: boolean
  /** A resourceVersion given for a resource that does not exist is a conflict (PUT), not a restored copy (apply). */
  readonly mustExist: boolean
}

/**
 * Works out what a request does to the cluster, in the order given, without doing it. A document equal to what is stored
 * changes nothing, so that applying what was read is always safe.
 * Throws CONFLICT when a document names a resource version that is no longer the newest.
 */
export function planChanges(cluster: ClusterView, wanted: readonly Wanted[], options: PlanOptions): Outcome[] {
  const outcomes: Outcome[] = []
  let version = cluster.version
  for (const { key, resource } of wanted) {
    const before = cluster.get(key)
    if (resource === null) {
      if (before === null) {
        outcomes.push({ key, result: 'not-found', before, after: null, version, statusOnly: false })
      } else {
        version += 1
        outcomes.push({ key, result: 'deleted', before, after: null, version, statusOnly: false })
      }
      continue
    }
    const status = statusOf(resource, before, options)
    const isSame = before !== null && declaresSame(before, resource)
    if (isSame && canonicalJson(before.status) === canonicalJson(status)) {
      outcomes.push({ key, result: 'unchanged', before, after: before, version: versionOf(before), statusOnly: false })
      continue
    }
    requireCurrent(key, resource, before, options)
    version += 1
    const after = stamp(declaredPart(resource), { before, status, version, options })
    outcomes.push({
      key,
      result: before === null ? 'created' : 'configured',
      before,
      after,
      version,
      statusOnly: isSame,
    })
  }
  return outcomes
}

/** The resource version of a stored resource. */
function versionOf(resource: Resource): number {
  return Number(resource.metadata.resourceVersion ?? 0)
}

function requireCurrent(key: ResourceKey, resource: Resource, before: Resource | null, options: PlanOptions): void {
  const given = resource.metadata.resourceVersion
  if (given === undefined || given === '') return
  if (before === null ? !options.mustExist : given === before.metadata.resourceVersion) return
  throw new MargayError(
    'CONFLICT',
    before === null
      ? `${key} was deleted after version ${given}: create it without metadata.resourceVersion`
      : `${key} changed after version ${given}, its version is now ${before.metadata.resourceVersion}: read it again and repeat the change`,
    { status: 409, details: { key, currentVersion: before?.metadata.resourceVersion ?? null } },
  )
}

/**
 * The status to store. People do not write status: theirs is ignored, what is stored stays. Two exceptions: services,
 * and new Kubernetes objects, whose status carries facts that policy needs (a pod's addresses).
 */
function statusOf(resource: Resource, before: Resource | null, options: PlanOptions): unknown {
  if (resource.status === undefined) return before?.status
  if (options.mayWriteStatus) return resource.status
  if (before !== null) return before.status
  return resource.apiVersion.startsWith('projectcalico.org/') ? undefined : resource.status
}

function stamp(
  declared: Resource,
  {
    before,
    status,
    version,
    options,
  }: { before: Resource | null; status: unknown; version: number; options: PlanOptions },
): Resource {
  const old = before?.metadata
  const generation = old?.generation ?? 1
  const grows = before !== null && !declaresSameBody(before, declared)
  return {
    ...declared,
    metadata: {
      ...declared.metadata,
      uid: old?.uid ?? options.uid(),
      resourceVersion: String(version),
      generation: grows ? generation + 1 : generation,
      creationTimestamp: old?.creationTimestamp ?? options.now.toISOString().replace(/\.\d+Z$/, 'Z'),
    },
    ...(status === undefined ? {} : { status }),
  }
}
