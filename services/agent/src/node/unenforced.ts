import type { Direction, Endpoint, PolicyModel, Stage } from '@margay/schemas'

const directions: readonly Direction[] = ['ingress', 'egress']
/** Stages of host endpoints for which no rules are programmed: before connection tracking, before DNAT, and forwarded packets. */
const laterStages: readonly Stage[] = ['untracked', 'pre-dnat', 'forward']

/** The number of enforced policies that some of the host endpoints would have to meet at a stage that is not programmed. */
export function policiesOfLaterStages(model: Pick<PolicyModel, 'governing'>, hosts: readonly Endpoint[]): number {
  const ids = new Set<string>()
  for (const host of hosts)
    for (const direction of directions)
      for (const stage of laterStages)
        for (const { policies } of model.governing(host, direction, stage))
          for (const { id, staged } of policies) if (!staged) ids.add(id)
  return ids.size
}

/** The number of rules with domains in the enforced policies of the cluster, whomever they select. */
export function domainRules(model: Pick<PolicyModel, 'tiers'>): number {
  let count = 0
  for (const { policies } of model.tiers())
    for (const { staged, ingress, egress } of policies)
      if (!staged)
        for (const { source, destination } of [...ingress, ...egress])
          if (source.domains.length + destination.domains.length > 0) count += 1
  return count
}
