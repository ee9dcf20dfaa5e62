import type { EntityMatch, GoverningTier, PolicyModel, Rule } from '@margay/schemas'

/**
 * The sources from which an interface lets nothing in, whatever else a packet says: those of Deny rules of untracked ingress policy that
 * match by source alone (spec 5.7.4) and that no rule of another kind goes before. Null when there are none.
 */
export interface DenySources {
  readonly members: ReadonlySet<string>
  /** Sets that the members come from. */
  readonly sets: ReadonlySet<string>
}

/** Reads them from the policies that govern a host endpoint in the untracked stage. */
export function denySources(
  governing: readonly GoverningTier[],
  model: Pick<PolicyModel, 'addressSet'>,
): DenySources | null {
  const members = new Set<string>()
  const sets = new Set<string>()
  walk: for (const { policies } of governing) {
    for (const policy of policies) {
      if (policy.staged) continue
      for (const rule of policy.ingress) {
        if (!isBySourceAlone(rule)) break walk
        for (const net of rule.source.nets) if (isOfVersion(net, rule)) members.add(net)
        for (const id of rule.source.sets) {
          sets.add(id)
          for (const member of model.addressSet(id)?.members ?? []) if (isOfVersion(member, rule)) members.add(member)
        }
      }
    }
  }
  return members.size === 0 && sets.size === 0 ? null : { members, sets }
}

const isOfVersion = (net: string, { ipVersion }: Rule) =>
  ipVersion === null || ipVersion === (net.includes(':') ? 6 : 4)

/** True for a Deny of the addresses in one list, be it of blocks or a set. */
function isBySourceAlone(rule: Rule): boolean {
  const { source } = rule
  return (
    rule.action === 'deny' &&
    rule.protocol === null &&
    rule.notProtocol === null &&
    rule.icmp === null &&
    rule.notIcmp === null &&
    rule.http === null &&
    isOpen(rule.destination) &&
    isOpen({ ...source, nets: [], sets: [] }) &&
    (source.sets.length === 0 ? source.nets.length > 0 : source.sets.length === 1 && source.nets.length === 0)
  )
}

/** True for a side that everything matches. */
const isOpen = (side: EntityMatch) =>
  [
    side.sets,
    side.notSets,
    side.nets,
    side.notNets,
    side.ports,
    side.portSets,
    side.notPorts,
    side.notPortSets,
    side.domains,
  ].every(({ length }) => length === 0)
