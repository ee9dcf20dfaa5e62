import { setTimeout as sleep } from 'node:timers/promises'
import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { Resource } from '@margay/schemas'
import { marked } from './manifests/published.ts'
import { applyEach, type ResourceSink } from './sink.ts'

/** Keeps the sink's resources equal to those of the lab. */
export interface Publisher extends Component {
  /** The resources that there should be from now on. Resolves when the sink has them. */
  publish(resources: readonly Resource[]): Promise<void>
  /** What the sink refused, in words. */
  readonly refused: readonly string[]
}

const identity = ({ kind, apiVersion, metadata }: Resource) =>
  `${apiVersion.split('/')[0]}/${kind}/${metadata.namespace ?? '-'}/${metadata.name}`

/**
 * Makes the publisher of lab `id`. The first time it also takes away what an earlier lab of this id left and is no longer wanted,
 * and adds `firstOnly` (the demonstration's policies) unless they are or were there: what users changed or deleted stays so.
 * An API that does not answer is asked again until the end.
 */
export function createPublisher(
  config: {
    readonly id: string
    readonly firstOnly: readonly Resource[]
    /** Between tries while the API does not answer. */
    readonly retryMs: number
  },
  deps: { readonly sink: ResourceSink; readonly reporter: Reporter },
): Publisher {
  const { sink, reporter } = deps
  const first = config.firstOnly.map((resource) => marked(resource, config.id))
  const end = new AbortController()
  const warn = reporter.sampled()
  let known: Map<string, string> | undefined
  let refused: string[] = []
  let queue: Promise<void> = Promise.resolve()

  /** Tries until the sink answers; a refusal is an answer. */
  async function insist<T>(action: () => Promise<T>): Promise<T | undefined> {
    while (!end.signal.aborted) {
      try {
        return await action()
      } catch (error) {
        warn({ error: messageOf(error) }, 'the API does not take the resources of the lab yet')
        await sleep(config.retryMs, undefined, { signal: end.signal }).catch(() => {})
      }
    }
    return undefined
  }

  async function begin(resources: readonly Resource[]): Promise<readonly Resource[]> {
    const owned = await sink.owned(config.id)
    const keep = new Set([...resources, ...first].map(identity))
    await sink.remove(owned.filter((resource) => !keep.has(identity(resource))))
    const ownedIds = new Set(owned.map(identity))
    return first.some((resource) => ownedIds.has(identity(resource))) ? resources : [...resources, ...first]
  }

  async function send(resources: readonly Resource[]): Promise<void> {
    const wanted = new Map(resources.map((resource) => [identity(resource), JSON.stringify(resource)]))
    let changed: readonly Resource[]
    if (known === undefined) changed = await begin(resources)
    else {
      const before = known
      const gone = [...before].filter(([key]) => !wanted.has(key)).map(([, text]) => JSON.parse(text) as Resource)
      await sink.remove(gone)
      changed = resources.filter((resource) => before.get(identity(resource)) !== JSON.stringify(resource))
    }
    refused = await applyEach(sink, changed)
    for (const what of refused) reporter.log.warn({ what }, 'the API refused a resource of the lab')
    known = wanted
  }

  return {
    name: 'publisher',
    publish(resources) {
      queue = queue.then(async () => {
        await insist(() => send(resources))
      })
      return queue
    },
    get refused() {
      return refused
    },
    async stop() {
      end.abort()
      await queue
    },
    health: () =>
      known === undefined
        ? { state: 'degraded', reason: 'the API has not taken the resources of the lab yet' }
        : refused.length > 0
          ? { state: 'degraded', reason: `the API refused ${refused.length} resources: ${refused[0]}` }
          : { state: 'ok' },
  }
}
