import { canonicalDomain, matchDomain } from '../../policy/domain.ts'
import type { NetworkSetSpec } from '../../resources/kinds/network-set.ts'
import type { Path } from '../../resources/path.ts'
import { directions, type LintContext, peerSide } from '../context.ts'
import type { LintRule, LintSubject } from '../finding.ts'
import type { Thing } from '../inventory.ts'

/** Wildcards beside which the name itself is forgotten. */
export const wildcardApex: LintRule = {
  id: 'wildcard-apex',
  severity: 'info',
  title: 'a wildcard domain without the domain itself',
  why: '`*.example.com` stands for one label or more: www.example.com, a.b.example.com. It does not match example.com.',
  remedy: 'If the domain itself is meant too, add it.',
  check(context, report) {
    for (const { subject, at, names } of domainLists(context)) {
      const canonical = names.map(canonicalDomain)
      for (const [index, name] of canonical.entries()) {
        const apex = name.startsWith('*.') ? name.slice('*.'.length) : ''
        if (!apex.includes('.') || canonical.some((other) => matchDomain(other, apex))) continue
        report(subject, [...at, index], `${name} does not match ${apex}`)
      }
    }
  },
}

/** Every list of domain names: of rules and of network sets. */
function* domainLists({ resources, policies }: LintContext): Iterable<{
  readonly subject: LintSubject
  readonly at: Path
  readonly names: readonly string[]
}> {
  for (const { subject, spec } of policies) {
    for (const [index, { destination }] of (spec?.egress ?? []).entries()) {
      const at = ['spec', 'egress', index, 'destination', 'domains']
      if (destination?.domains !== undefined) yield { subject, at, names: destination.domains }
    }
  }
  for (const subject of resources) {
    const { kind, spec } = subject.resource
    if (kind !== 'NetworkSet' && kind !== 'GlobalNetworkSet') continue
    const { allowedEgressDomains = [] } = (spec ?? {}) as NetworkSetSpec
    yield { subject, at: ['spec', 'allowedEgressDomains'], names: allowedEgressDomains }
  }
}

/** Rules that select sets of domain names where these count for nothing. */
export const domainsIgnored: LintRule = {
  id: 'domains-ignored',
  severity: 'warning',
  title: 'a rule for a set of domain names where domain names are ignored',
  why: 'Domain names of a network set count in egress rules with action Allow only. A Deny or Pass rule, or an ingress rule, sees the addresses of the set alone; here there are none, so it never matches.',
  remedy: 'Deny by default and allow what is wanted, or put addresses into the set.',
  check({ policies, inventory }, report) {
    const isDomainSet = ({ kind, nets, domains }: Thing) => kind === 'ns' && nets.length === 0 && domains.length > 0
    for (const policy of policies) {
      for (const direction of directions) {
        for (const rule of policy.flat.rules[direction]) {
          const side = peerSide[direction]
          const { selector } = rule[side]
          if (selector === null || (direction === 'egress' && rule.action === 'allow')) continue
          const found = inventory.select(selector.expression)
          if (found.length === 0 || !found.every(isDomainSet)) continue
          const message = `${direction} rule ${rule.index} (${rule.action}) of ${policy.title} selects domain names only (${found.map(({ name }) => name).join(', ')}): it matches nothing`
          report(policy.subject, ['spec', direction, rule.index, side], message)
        }
      }
    }
  },
}
