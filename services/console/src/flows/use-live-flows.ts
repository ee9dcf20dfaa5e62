import { useEffect, useRef, useState } from 'react'
import { ApiError, type Flow, flowsPath, get, recentFlowsPath } from '../api.ts'

/** Flows kept on the page; older ones are a query away. */
const kept = 500
/** How often new rows may move the table. */
const paintMs = 250

export interface LiveFlows {
  readonly flows: readonly Flow[]
  /** Arrived while paused. */
  readonly waiting: number
  readonly state: 'loading' | 'live' | 'broken'
  readonly error: ApiError | null
}

/** The newest flows that match the query, followed live; while paused new ones wait. */
export function useLiveFlows(query: string, paused: boolean): LiveFlows {
  const [flows, setFlows] = useState<readonly Flow[]>([])
  const [waiting, setWaiting] = useState(0)
  const [state, setState] = useState<LiveFlows['state']>('loading')
  const [error, setError] = useState<ApiError | null>(null)
  const arrived = useRef<Flow[]>([])
  const isPaused = useRef(paused)
  isPaused.current = paused

  useEffect(() => {
    const ended = new AbortController()
    let source: EventSource | undefined
    arrived.current = []
    setFlows([])
    setWaiting(0)
    setState('loading')
    setError(null)
    const follow = () => {
      source = new EventSource(flowsPath(query))
      source.onopen = () => setState('live')
      source.onerror = () => setState('broken')
      source.onmessage = (event) => {
        const data = JSON.parse(event.data as string) as Flow | Flow[]
        arrived.current.push(...(Array.isArray(data) ? data : [data]))
        if (arrived.current.length > kept) arrived.current.splice(0, arrived.current.length - kept)
      }
    }
    get<{ events: Flow[] }>(recentFlowsPath(query), ended.signal).then(
      ({ events }) => {
        if (ended.signal.aborted) return
        setFlows(events)
        follow()
      },
      (reason: unknown) => {
        if (ended.signal.aborted) return
        const problem = reason instanceof ApiError ? reason : new ApiError('API_UNREACHABLE', String(reason))
        setError(problem)
        // Without history there may still be live flows, unless the query itself is wrong.
        if (problem.position === null && problem.code !== 'QUERY_INVALID') follow()
      },
    )
    const timer = setInterval(() => {
      if (arrived.current.length === 0) return
      if (isPaused.current) return setWaiting(arrived.current.length)
      const fresh = arrived.current.splice(0).reverse()
      setWaiting(0)
      setFlows((old) => [...fresh, ...old].slice(0, kept))
    }, paintMs)
    return () => {
      ended.abort()
      source?.close()
      clearInterval(timer)
    }
  }, [query])
  return { flows, waiting, state, error }
}
