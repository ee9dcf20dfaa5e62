import { type Direction, evaluate, type PolicyModel } from '@margay/schemas'
import type { ConntrackEntry } from '../netlink/conntrack.ts'
import { type SubjectDeps, subjectOf } from './subject.ts'
import { addressedOf, afterNat } from './translation.ts'

/**
 * Tells whether policy as it is now would deny the packet that opened a connection, at an end of this node. A destination that rules know by
 * names gets the benefit of the doubt once DNS no longer tells its names: it was allowed by a name that has expired.
 */
export function createDeniedNow(node: string, deps: SubjectDeps): (entry: ConntrackEntry) => boolean {
  const { model } = deps
  const isDenied = (direction: Direction, ip: string, packet: Parameters<typeof evaluate>[1]) => {
    const endpoint = model.endpointByIp(ip)
    if (endpoint?.node !== node) return false
    if (evaluate(model, packet)[direction]?.verdict !== 'deny') return false
    if (direction === 'ingress' || packet.domains !== undefined) return true
    return !hasDomains(model, endpoint)
  }
  return (entry) => {
    const { packet } = subjectOf(deps, afterNat(entry), addressedOf(entry))
    return isDenied('egress', packet.sourceIp, packet) || isDenied('ingress', packet.destinationIp, packet)
  }
}

const hasDomains = (model: PolicyModel, endpoint: Parameters<PolicyModel['governing']>[0]) =>
  model
    .governing(endpoint, 'egress')
    .some(({ policies }) =>
      policies.some(({ egress }) => egress.some(({ destination }) => destination.domains.length > 0)),
    )
