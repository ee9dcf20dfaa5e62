import type { Endpoint, ModelChanges, PolicyModel } from '@margay/schemas'
import type { LocalEndpoint } from '../nftables/render.ts'

/** The workload endpoints of a node, each with the interface that leads to it. */
export interface LocalEndpoints {
  /** Takes changes of the model in. Returns addresses that their endpoints have no more. */
  follow(changes: Pick<ModelChanges, 'endpoints'>): string[]
  /** Those whose interface is known now, and the keys of the others. */
  placed(): { readonly endpoints: readonly LocalEndpoint[]; readonly waiting: readonly string[] }
}

/** Makes an empty list; `interfaceOf` gives the interface of an endpoint that does not name one. */
export function createLocalEndpoints(
  node: string,
  deps: { readonly model: Pick<PolicyModel, 'endpoint'>; readonly interfaceOf: (ip: string) => string | null },
): LocalEndpoints {
  const known = new Map<string, Endpoint>()

  function interfaceByRoute({ ips }: Endpoint): string | null {
    for (const ip of ips) {
      const name = deps.interfaceOf(ip)
      if (name !== null) return name
    }
    return null
  }

  return {
    follow({ endpoints }) {
      const left: string[] = []
      for (const key of endpoints) {
        const endpoint = deps.model.endpoint(key)
        const isHere = endpoint?.node === node && endpoint.kind === 'wep'
        for (const ip of known.get(key)?.ips ?? []) if (!isHere || !endpoint.ips.includes(ip)) left.push(ip)
        if (isHere) known.set(key, endpoint)
        else known.delete(key)
      }
      return left
    },
    placed() {
      const endpoints: LocalEndpoint[] = []
      const waiting: string[] = []
      for (const endpoint of known.values()) {
        const interfaceName = endpoint.interfaceName ?? interfaceByRoute(endpoint)
        if (interfaceName === null) waiting.push(endpoint.key)
        else endpoints.push({ endpoint, interfaceName })
      }
      return { endpoints, waiting }
    },
  }
}
