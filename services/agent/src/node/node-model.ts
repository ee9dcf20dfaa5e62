import { canonicalAddress, endpointIdentity, type PolicyModel } from '@margay/schemas'
import type { HostPlacement } from './host-endpoints.ts'

/**
 * The model as one node sees it: it knows its own addresses, and which host endpoint answers for each, also when the resource does not
 * list them.
 */
export function createNodeModel(
  node: string,
  deps: {
    readonly model: PolicyModel
    readonly hosts: () => HostPlacement
    readonly isHost: (ip: string) => boolean
  },
): PolicyModel {
  const { model, hosts, isHost } = deps
  const own: Pick<PolicyModel, 'endpointByIp' | 'nodeOf' | 'identify'> = {
    endpointByIp(ip) {
      const known = model.endpointByIp(ip)
      return known?.kind === 'wep' ? known : (hosts().owners.get(canonicalAddress(ip)) ?? known)
    },
    nodeOf: (ip) => model.nodeOf(ip) ?? (isHost(ip) ? node : null),
    identify(ip, from, domains) {
      const endpoint = own.endpointByIp(ip)
      return endpoint?.kind === 'hep' ? endpointIdentity(endpoint) : model.identify(ip, from, domains)
    },
  }
  // Everything else, `revision` included, is what the cluster's model says at that moment.
  return Object.assign(Object.create(model) as PolicyModel, own)
}
