import type { PolicyModel } from '@margay/schemas'

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
