import { readSecret } from '@margay/kit/config'
import { MargayError, messageOf } from '@margay/kit/errors'
import { kinds, type Problem, type Resource } from '@margay/schemas'
import { labAnnotation } from './manifests/published.ts'

/** Where the resources of the lab go: the API of the cluster that the lab stands for. */
export interface ResourceSink {
  /** Creates or changes resources, all or none. Rejects with LAB_SINK_REFUSED when they are not valid. */
  apply(resources: readonly Resource[]): Promise<void>
  /** Deletes resources; those that do not exist are fine. */
  remove(resources: readonly Resource[]): Promise<void>
  /** What a lab of this id put there before. */
  owned(id: string): Promise<Resource[]>
}

/** The API was reached and said no. `problems` tell what is wrong with which resource. */
const isRefusal = (error: unknown): error is MargayError =>
  error instanceof MargayError && error.code === 'LAB_SINK_REFUSED'

/**
 * Sends resources to the HTTP API on this machine as user `system:lab`.
 * An API that cannot be reached rejects with the error of the connection: callers try again.
 */
export function createApiSink(config: {
  readonly port: number
  readonly tokenFile?: string | undefined
}): ResourceSink {
  const base = `http://127.0.0.1:${config.port}`

  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        'x-margay-user': 'system:lab',
        ...(config.tokenFile === undefined ? {} : { authorization: `Bearer ${readSecret(config.tokenFile)}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    })
    const text = await response.text()
    if (response.ok) return JSON.parse(text)
    let problem: { detail?: string; problems?: Problem[] } = {}
    try {
      problem = JSON.parse(text) as typeof problem
    } catch {
      // Not a problem document: the status tells.
    }
    // Anything but a judgement on the resources themselves may pass: the API is starting, or its log does not answer.
    if (![400, 409, 413, 422].includes(response.status))
      throw new Error(`${path}: ${problem.detail ?? response.status}`)
    const found = (problem.problems ?? []).map((p) => `${p.path}: ${p.message}`).join('; ')
    throw new MargayError('LAB_SINK_REFUSED', `${path}: ${found || (problem.detail ?? response.status)}`)
  }
  const list = (items: readonly Resource[]) => ({ apiVersion: 'v1', kind: 'List', items })

  return {
    async apply(resources) {
      if (resources.length > 0) await call('POST', '/v1/apply', list(resources))
    },
    async remove(resources) {
      if (resources.length === 0) return
      // What others refer to goes last.
      const isHolder = ({ kind }: Resource) => kind === 'Tier' || kind === 'Namespace'
      for (const part of [resources.filter((r) => !isHolder(r)), resources.filter(isHolder)]) {
        const bare = part.map(({ apiVersion, kind, metadata: { name, namespace } }) => ({
          apiVersion,
          kind,
          metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
        }))
        if (bare.length > 0) await call('POST', '/v1/delete', list(bare))
      }
    },
    async owned(id) {
      const lists = await Promise.all(
        kinds.map(async ({ plural, apiVersions }) => {
          const group = (apiVersions[0] as string).split('/').at(-2)
          const name = group === undefined ? plural : `${plural}.${group}`
          return ((await call('GET', `/v1/resources/${name}`)) as { items: Resource[] }).items
        }),
      )
      return lists.flat().filter(({ metadata }) => metadata.annotations?.[labAnnotation] === id)
    },
  }
}

/**
 * Applies resources; when they are refused together, one by one, so that a wrong one does not keep the others out.
 * Returns what was refused, in words. Rejects when the sink cannot be reached.
 */
export async function applyEach(sink: ResourceSink, resources: readonly Resource[]): Promise<string[]> {
  try {
    await sink.apply(resources)
    return []
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
  const refused: string[] = []
  for (const resource of resources) {
    try {
      await sink.apply([resource])
    } catch (error) {
      if (!isRefusal(error)) throw error
      const { namespace, name } = resource.metadata
      refused.push(`${resource.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}: ${messageOf(error)}`)
    }
  }
  return refused
}
