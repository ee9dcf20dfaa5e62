import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import { runIn } from './command.ts'
import { createRouteWatch } from './route-watch.ts'

/** Which interface leads to which pod, and which addresses are the node's own, kept current from the kernel's routes. */
export interface Interfaces extends Component {
  /** The host-side interface that a route to exactly this address uses; null when there is none. */
  interfaceOf(ip: string): string | null
  isHost(ip: string): boolean
  /** The node's own addresses, each with its interface; another object after each reading. */
  addresses(): ReadonlyMap<string, string>
  /** Called after each change. */
  onChange(listener: () => void): void
}

interface Route {
  readonly dst?: string
  readonly dev?: string
}

interface Link {
  readonly ifname?: string
  readonly addr_info?: readonly { readonly local?: string }[]
}

/** Changes come in bursts (a pod brings several routes). */
const settleMs = 20

/** Follows the interfaces of a network namespace; null is this process's own. */
export function createInterfaces(netns: string | null, deps: { readonly reporter: Reporter }): Interfaces {
  const listeners = new Set<() => void>()
  let routes: ReadonlyMap<string, string> = new Map()
  let addresses: ReadonlyMap<string, string> = new Map()
  let settling: NodeJS.Timeout | undefined
  let problem: string | null = null

  async function read(): Promise<void> {
    const [v4, v6, links] = await Promise.all([
      runIn(netns, ['ip', '-j', 'route', 'show']),
      runIn(netns, ['ip', '-j', '-6', 'route', 'show']),
      runIn(netns, ['ip', '-j', 'addr', 'show']),
    ])
    routes = hostRoutes([...parse<Route>(v4), ...parse<Route>(v6)])
    addresses = ownAddresses(parse<Link>(links))
    problem = null
    for (const listener of listeners) listener()
  }

  function reread(): void {
    settling ??= setTimeout(() => {
      settling = undefined
      read().catch((error) => {
        problem = `cannot read the routes of the node: ${messageOf(error)}`
        deps.reporter.log.warn({ error: messageOf(error) }, 'routes not read')
      })
    }, settleMs)
  }

  const watch = createRouteWatch(netns, reread)

  return {
    name: 'interfaces',
    interfaceOf: (ip) => routes.get(ip) ?? null,
    isHost: (ip) => addresses.has(ip),
    addresses: () => addresses,
    onChange: (listener) => void listeners.add(listener),
    async start() {
      // Watched first: what changes while it is read is read again.
      watch.start()
      await read()
    },
    async stop() {
      watch.stop()
      clearTimeout(settling)
    },
    health: () => (problem === null ? { state: 'ok' } : { state: 'degraded', reason: problem }),
  }
}

/** Routes to single addresses: address -> interface. */
export function hostRoutes(routes: readonly Route[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const { dst, dev } of routes) {
    if (dst === undefined || dev === undefined || dst === 'default' || dst.includes('/')) continue
    found.set(dst, dev)
  }
  return found
}

/** Addresses of the node: address -> interface. */
export function ownAddresses(links: readonly Link[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const { ifname, addr_info = [] } of links)
    for (const { local } of addr_info) if (local !== undefined && ifname !== undefined) found.set(local, ifname)
  return found
}

function parse<T>(text: string): T[] {
  return text.trim() === '' ? [] : (JSON.parse(text) as T[])
}
