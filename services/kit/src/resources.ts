import { type Resource, type ResourceKey, type ResourceRecord, resourcesTopic } from '@margay/schemas'
import type { Component } from './component.ts'
import type { EventLog } from './event-log.ts'
import type { Reporter } from './reporter.ts'

/** A resource that came, changed or went. */
export interface ResourceChange {
  readonly key: ResourceKey
  /** Null when the resource was deleted. */
  readonly resource: Resource | null
  readonly previous: Resource | null
  /** Resource version of the change. */
  readonly version: number
}

/** Every resource of the cluster, kept current from the compacted topic. */
export interface ResourceCache extends Component {
  /** Newest resource version seen. */
  readonly version: number
  get(key: ResourceKey): Resource | null
  /** All resources, or those whose key begins with `<plural>.`. */
  list(plural?: string): Resource[]
  /** Called for each change in the order of the log, those of the first read included; returns a function that ends it. */
  onChange(listener: (change: ResourceChange) => void): () => void
  /** Resolves when everything that the topic held at the start has been read. */
  synced(): Promise<void>
}

/** Header of a resource record that tells its version, on deletions too. */
export const versionHeader = 'resource-version'

/** Makes the cache; it is complete once started. */
export function createResourceCache(deps: { readonly log: EventLog; readonly reporter: Reporter }): ResourceCache {
  const resources = new Map<ResourceKey, Resource>()
  /** The same by kind: in a large cluster most are pods, and most questions are about others. */
  const byPlural = new Map<string, Map<ResourceKey, Resource>>()
  const listeners = new Set<(change: ResourceChange) => void>()
  let version = 0
  let done: () => void
  let isSynced = false
  const synced = new Promise<void>((resolve) => {
    done = resolve
  })
  let tail: { close(): Promise<void> } | undefined
  const skipped = deps.reporter.counter(
    'resource_records_skipped_total',
    'records of the resource topic that could not be read',
  )

  function put(key: ResourceKey, resource: Resource | null): void {
    const plural = key.slice(0, key.indexOf('.'))
    const ofKind = byPlural.get(plural) ?? new Map<ResourceKey, Resource>()
    byPlural.set(plural, ofKind)
    for (const map of [resources, ofKind])
      if (resource === null) map.delete(key)
      else map.set(key, resource)
  }

  function take(key: ResourceKey, value: Buffer | null, headers: Readonly<Record<string, string>>): void {
    const previous = resources.get(key) ?? null
    const at = Number(headers[versionHeader] ?? 0)
    let resource: Resource | null = null
    if (value !== null) {
      try {
        resource = (JSON.parse(value.toString()) as ResourceRecord).object
      } catch {
        skipped.inc()
        return
      }
    }
    put(key, resource)
    if (at > version) version = at
    for (const listener of listeners) listener({ key, resource, previous, version: at })
  }

  return {
    name: 'resources',
    get version() {
      return version
    },
    get: (key) => resources.get(key) ?? null,
    list: (plural) => [...(plural === undefined ? resources : (byPlural.get(plural) ?? new Map())).values()],
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    synced: () => synced,
    async start() {
      tail = await deps.log.tail({
        topics: [resourcesTopic],
        from: 'earliest',
        handle(batch) {
          for (const record of batch.records) if (record.key !== null) take(record.key, record.value, record.headers)
        },
        caughtUp() {
          isSynced = true
          done()
        },
      })
      await synced
    },
    async stop() {
      await tail?.close()
    },
    health: () => (isSynced ? { state: 'ok' } : { state: 'down', reason: 'the resources have not been read yet' }),
  }
}
