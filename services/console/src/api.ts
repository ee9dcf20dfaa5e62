/** What the page reads from the API, and the one way it asks. */

export interface Flow {
  readonly start_time: string
  readonly end_time: string
  readonly action: 'allow' | 'deny'
  readonly reporter: 'src' | 'dst' | 'fwd'
  readonly proto: string
  readonly source_ip: string | null
  readonly source_port: number | null
  readonly source_name: string
  readonly source_name_aggr: string
  readonly source_namespace: string
  readonly source_type: string
  readonly source_labels: readonly string[]
  readonly dest_ip: string | null
  readonly dest_port: number | null
  readonly dest_name: string
  readonly dest_name_aggr: string
  readonly dest_namespace: string
  readonly dest_type: string
  readonly dest_labels: readonly string[]
  readonly dest_service_namespace: string
  readonly dest_service_name: string
  readonly enforced_policies: readonly string[]
  readonly pending_policies: readonly string[]
  readonly bytes_in: number
  readonly bytes_out: number
  readonly packets_in: number
  readonly packets_out: number
  readonly num_flows: number
  readonly num_flows_started: number
  readonly num_flows_completed: number
  readonly host: string
  readonly simulated?: boolean
}

export interface ServiceStatus {
  readonly service: string
  readonly host: string
  readonly state: 'ok' | 'degraded' | 'down' | 'stale'
  readonly reason: string
}

export interface PipelineStatus {
  readonly cluster: string
  readonly state: 'ok' | 'degraded' | 'down'
  readonly simulated: boolean
  readonly lab: { readonly mode: 'kernel' | 'simulated'; readonly reason?: string } | null
  readonly services: readonly ServiceStatus[]
  readonly log: {
    readonly state: string
    readonly reason?: string
    readonly lagEvents: number | null
    readonly lagSeconds: number | null
  }
  readonly clickhouse: { readonly state: string; readonly reason?: string }
  readonly flows: { readonly lastMinute: number; readonly deniedLastMinute: number } | null
}

export interface Message {
  readonly id: string
  readonly time: string
  readonly receiver: string
  readonly state: string
  readonly severity: number
  readonly subject: string
  readonly body: string
  readonly alert: string
}

/** An error the API names, or that it cannot be reached. */
export class ApiError extends Error {
  readonly code: string
  /** Where in the query the error is, when it is one of the query. */
  readonly position: number | null

  constructor(code: string, message: string, position: number | null = null) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.position = position
  }
}

/** GETs JSON. Throws an ApiError. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, { headers: { accept: 'application/json' }, ...(signal ? { signal } : {}) })
  } catch {
    throw new ApiError('API_UNREACHABLE', 'The API does not answer. Is Margay still running?')
  }
  if (response.ok) return (await response.json()) as T
  const problem = (await response.json().catch(() => ({}))) as {
    code?: string
    detail?: string
    title?: string
    position?: number
  }
  throw new ApiError(
    problem.code ?? 'API_REFUSED',
    problem.detail ?? problem.title ?? `${response.status} ${response.statusText}`,
    problem.position ?? null,
  )
}

export const flowsPath = (query: string) => `/v1/events/flows?${new URLSearchParams({ q: query })}`
export const recentFlowsPath = (query: string) =>
  `/v1/events/flows?${new URLSearchParams({ q: query, limit: '200', order: 'desc', from: 'now-30m' })}`
