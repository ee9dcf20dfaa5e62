import { canonicalAddress } from './ip.ts'
import { sameTexts } from './item-comparison.ts'
import type { Endpoint } from './model.ts'

/** Which endpoint an address belongs to, and which host endpoints a node has. */
export interface AddressOwners {
  /** An endpoint came (before is null), is another now or went (after is null). */
  change(before: Endpoint | null, after: Endpoint | null): void
  /**
   * Of several endpoints with one address: a workload before host endpoints, of workloads the newest (an address is reused before its old
   * owner is seen to go), of host endpoints the first by name.
   */
  byIp(ip: string): Endpoint | null
  /** By name; the same list until it changes. */
  hostEndpoints(node: string): readonly Endpoint[]
}

const nobody: readonly Endpoint[] = []

/** Makes owners of no addresses. */
export function createAddressOwners(): AddressOwners {
  const owners = new Map<string, readonly Endpoint[]>()
  const hosts = new Map<string, readonly Endpoint[]>()

  function add(map: Map<string, readonly Endpoint[]>, key: string, endpoint: Endpoint): void {
    const had = map.get(key)
    if (had === undefined) map.set(key, [endpoint])
    else map.set(key, endpoint.kind === 'wep' ? [endpoint, ...had] : [...had, endpoint].sort(compare))
  }

  function remove(map: Map<string, readonly Endpoint[]>, key: string, endpoint: Endpoint): void {
    const others = (map.get(key) ?? nobody).filter((other) => other !== endpoint)
    if (others.length === 0) map.delete(key)
    else map.set(key, others)
  }

  function replace(map: Map<string, readonly Endpoint[]>, key: string, before: Endpoint, after: Endpoint): void {
    map.set(
      key,
      (map.get(key) ?? nobody).map((endpoint) => (endpoint === before ? after : endpoint)),
    )
  }

  return {
    change(before, after) {
      const isSame = before !== null && after !== null && sameTexts(before.ips, after.ips)
      if (isSame) for (const ip of after.ips) replace(owners, ip, before, after)
      else {
        for (const ip of before?.ips ?? []) remove(owners, ip, before as Endpoint)
        for (const ip of after?.ips ?? []) add(owners, ip, after as Endpoint)
      }
      if (before?.kind === 'hep') remove(hosts, before.node, before)
      if (after?.kind === 'hep') add(hosts, after.node, after)
    },
    byIp: (ip) => (owners.get(ip) ?? (ip.includes(':') ? owners.get(canonicalAddress(ip)) : undefined))?.[0] ?? null,
    hostEndpoints: (node) => hosts.get(node) ?? nobody,
  }
}

function compare(a: Endpoint, b: Endpoint): number {
  if (a.kind !== b.kind) return a.kind === 'wep' ? -1 : 1
  // Workloads keep their order: sorting is stable.
  return a.kind === 'wep' ? 0 : a.name < b.name ? -1 : 1
}
