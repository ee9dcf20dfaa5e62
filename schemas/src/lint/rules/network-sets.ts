import { directions } from '../context.ts'
import type { LintRule } from '../finding.ts'
import type { Thing } from '../inventory.ts'

/** Network sets that no rule looks at. */
export const unusedNetworkSet: LintRule = {
  id: 'unused-network-set',
  severity: 'info',
  title: 'a network set that no rule selects',
  why: 'Rules find a network set by its labels. One that none finds does nothing but give a name to addresses in flow logs.',
  remedy:
    'Compare its labels with the selectors of the rules that are meant to use it, or delete it. A namespaced policy needs namespaceSelector: global() to see a GlobalNetworkSet.',
  check({ resources, policies, inventory }, report) {
    if (policies.length === 0) return
    const used = new Set<Thing>()
    for (const { flat } of policies) {
      for (const direction of directions) {
        for (const { source, destination } of flat.rules[direction]) {
          for (const selector of [source.selector, source.notSelector, destination.selector, destination.notSelector]) {
            if (selector !== null) for (const thing of inventory.select(selector.expression)) used.add(thing)
          }
        }
      }
    }
    for (const set of inventory.sets) {
      if (used.has(set)) continue
      const subject = resources.find(
        ({ resource: { kind, metadata } }) =>
          metadata.name === set.name &&
          (set.namespace === null
            ? kind === 'GlobalNetworkSet'
            : kind === 'NetworkSet' && (metadata.namespace ?? 'default') === set.namespace),
      )
      if (subject !== undefined) report(subject, ['metadata'], `no rule of any policy selects ${set.name}`)
    }
  },
}
