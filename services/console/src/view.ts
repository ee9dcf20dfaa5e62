import { useCallback, useSyncExternalStore } from 'react'

/** What the page shows, kept in the address so that it can be shared and gone back to. */
export interface View {
  readonly query: string
  readonly paused: boolean
}

/** Reads a view from the search part of an address. */
export function viewOf(search: string): View {
  const parameters = new URLSearchParams(search)
  return { query: parameters.get('q') ?? '', paused: parameters.get('live') === 'paused' }
}

/** The search part that holds a view; empty for the plain page. */
export function searchOf(view: View): string {
  const parameters = new URLSearchParams()
  if (view.query !== '') parameters.set('q', view.query)
  if (view.paused) parameters.set('live', 'paused')
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}

const subscribe = (listener: () => void) => {
  addEventListener('popstate', listener)
  return () => removeEventListener('popstate', listener)
}

/** The view in the address, and a way to change it. */
export function useView(): [View, (change: Partial<View>) => void] {
  const search = useSyncExternalStore(subscribe, () => location.search)
  const change = useCallback((part: Partial<View>) => {
    history.pushState(null, '', `${location.pathname}${searchOf({ ...viewOf(location.search), ...part })}`)
    dispatchEvent(new PopStateEvent('popstate'))
  }, [])
  return [viewOf(search), change]
}
