import type { Cluster } from '@margay/schemas'
import type { Dataplane, Programmed } from '../../src/dataplane/dataplane.ts'
import { defaultRenderOptions } from '../../src/nftables/render.ts'
import { placeHosts } from '../../src/node/host-endpoints.ts'
import { createLocalEndpoints } from '../../src/node/local-endpoints.ts'

/** Programs node1 of a cluster, as the agent does. */
export function programming(
  dataplane: Dataplane,
  model: Cluster,
  interfaceOf: (ip: string) => string | null,
): () => Promise<Programmed> {
  const follower = model.follow()
  const local = createLocalEndpoints('node1', { model, interfaceOf })
  const hosts = placeHosts([], new Map())
  return () => {
    const changes = follower.take()
    local.follow(changes)
    const { endpoints } = local.placed()
    return dataplane.program({ node: 'node1', changes, endpoints, hosts, options: defaultRenderOptions })
  }
}
