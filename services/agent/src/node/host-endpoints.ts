import type { Endpoint, PolicyModel } from '@margay/schemas'
import { workloadPrefix } from '../nftables/base-chains.ts'

/** Where the host endpoints of a node stand. */
export interface HostPlacement {
  /** The host endpoint of each interface that has one of its own. */
  readonly named: ReadonlyMap<string, Endpoint>
  /** The one of all other interfaces (`*`). */
  readonly rest: Endpoint | null
  /** The host endpoint that answers for an address of the node: that of the interface which has it, else `*`. */
  readonly owners: ReadonlyMap<string, Endpoint>
  /** Host endpoints that guard nothing: no interface has their addresses, it is a workload's or loopback, or it is another's. */
  readonly unplaced: readonly Endpoint[]
  /** Differs when other addresses of the node are guarded, or by others; those towards workloads, which come and go, are left out. */
  readonly extent: string
}

const noHosts: HostPlacement = {
  named: new Map(),
  rest: null,
  owners: new Map(),
  unplaced: [],
  extent: '',
}

/**
 * Places host endpoints, given all endpoints of one node and the interface of each address that the node has. Where two want one
 * interface, the first by name gets it.
 */
export function placeHosts(endpoints: Iterable<Endpoint>, addresses: ReadonlyMap<string, string>): HostPlacement {
  const hosts = [...endpoints].filter(({ kind }) => kind === 'hep')
  if (hosts.length === 0) return noHosts
  hosts.sort((a, b) => (a.name < b.name ? -1 : 1))
  const named = new Map<string, Endpoint>()
  const unplaced: Endpoint[] = []
  let rest: Endpoint | null = null
  for (const host of hosts) {
    if (host.interfaceName === '*' && rest === null) {
      rest = host
      continue
    }
    const name = host.interfaceName ?? host.ips.map((ip) => addresses.get(ip)).find((found) => found !== undefined)
    if (name === undefined || name === '*' || name === 'lo' || name.startsWith(workloadPrefix) || named.has(name))
      unplaced.push(host)
    else named.set(name, host)
  }
  const owners = new Map<string, Endpoint>()
  let extent = ''
  for (const [ip, name] of addresses) {
    const owner = named.get(name) ?? rest
    if (owner === null || isLoopback(ip)) continue
    owners.set(ip, owner)
    if (!name.startsWith(workloadPrefix)) extent += `${ip} ${owner.key}, `
  }
  return { named, rest, owners, unplaced, extent }
}

const isLoopback = (ip: string) => ip === '::1' || ip.startsWith('127.')

/** The placement as it is now, worked out again only when the node has other host endpoints or addresses. */
export function createHostPlacements(
  node: string,
  deps: { readonly model: Pick<PolicyModel, 'hostEndpoints'>; readonly addresses: () => ReadonlyMap<string, string> },
): () => HostPlacement {
  const { model } = deps
  let placement = noHosts
  let placed: readonly Endpoint[] = []
  let addresses: ReadonlyMap<string, string> | null = null
  return () => {
    const present = deps.addresses()
    const hosts = model.hostEndpoints(node)
    if (hosts !== placed || addresses !== present) {
      placed = hosts
      addresses = present
      placement = placeHosts(hosts, present)
    }
    return placement
  }
}
