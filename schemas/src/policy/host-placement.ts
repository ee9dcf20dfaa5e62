import type { Endpoint, PolicyModel } from './model.ts'

/** The host endpoints of a node, as far as a packet can tell them apart. */
export interface HostPlacement {
  /** Those of one interface, by name. */
  readonly named: readonly Endpoint[]
  /** That of every other interface (`*`). */
  readonly rest: Endpoint | null
}

interface Known {
  readonly revision: number
  readonly byNode: Map<string, HostPlacement>
}

const none: HostPlacement = { named: [], rest: null }
const known = new WeakMap<Pick<PolicyModel, 'hostEndpoints' | 'revision'>, Known>()

/** Looks up the host endpoints of a node; the answer is kept as long as the model stays as it is. */
export function hostPlacement(model: Pick<PolicyModel, 'hostEndpoints' | 'revision'>, node: string): HostPlacement {
  let of = known.get(model)
  if (of === undefined || of.revision !== model.revision) {
    of = { revision: model.revision, byNode: new Map() }
    known.set(model, of)
  }
  let placement = of.byNode.get(node)
  if (placement === undefined) {
    placement = place(model.hostEndpoints(node))
    of.byNode.set(node, placement)
  }
  return placement
}

function place(hosts: readonly Endpoint[]): HostPlacement {
  if (hosts.length === 0) return none
  const named = hosts.filter(({ interfaceName }) => interfaceName !== '*')
  return { named, rest: hosts.find(({ interfaceName }) => interfaceName === '*') ?? null }
}

/**
 * The host endpoint by whose interface a packet comes or goes: of the interface when that is known, else the one that has the address
 * (any address of its node when none is given), else `*`. Null when the interface is nobody's.
 */
export function hostEndpointAt(
  { named, rest }: HostPlacement,
  at: { readonly interfaceName?: string | undefined; readonly ip?: string | undefined },
): Endpoint | null {
  if (named.length === 0) return rest
  const { interfaceName, ip } = at
  const hasAddress = ({ ips }: Endpoint) => (ip === undefined ? ips.length > 0 : ips.includes(ip))
  const found =
    interfaceName === undefined
      ? named.find(hasAddress)
      : (named.find((host) => host.interfaceName === interfaceName) ??
        named.find((host) => host.interfaceName === null && hasAddress(host)))
  return found ?? rest
}
