import type { FlatEntity, FlatRule } from '../../policy/flat-policy.ts'
import { namespacePrefix, serviceAccountLabel, serviceAccountPrefix } from '../../policy/flat-selector.ts'
import { nearMisses, type SelectorFault } from '../../policy/selector/near-miss.ts'
import type { Selector } from '../../policy/selector/selector.ts'
import type { Path } from '../../resources/path.ts'
import { directions, type LintPolicy } from '../context.ts'
import type { LintRule } from '../finding.ts'
import { type Inventory, listOfThings, type Thing } from '../inventory.ts'
import { negatedLabels } from '../labels.ts'

const sides = ['source', 'destination'] as const

/** Selectors with a word that nobody uses, though somebody uses one that is spelt nearly so. */
export const selectorTypo: LintRule = {
  id: 'selector-typo',
  severity: 'warning',
  title: 'a selector that selects nothing, and would with one word spelt differently',
  why: 'A selector that matches nothing is no error: the policy is accepted and does nothing, or the rule never matches.',
  remedy: 'Correct the word, or ignore this if the workload does not exist yet.',
  check({ policies, inventory }, report) {
    if (!inventory.hasWorkloads) return
    for (const policy of policies) {
      const { flat, title, subject } = policy
      if (flat.stagedAction === 'delete') continue
      if (policy.endpoints.length === 0) {
        const miss = missOf(flat.selector, inventory.endpoints)
        if (miss !== null) {
          const message = `${title} selects no endpoint: ${sayMiss(miss)}`
          report(subject, selectorPath(policy, ['spec'], miss.fault.label ?? ''), message)
        }
      }
      for (const { side, rule, at, entity } of peersOf(policy)) {
        const miss = isFound(entity, inventory) ? null : missOf(entity.selector as Selector, inventory.things)
        if (miss === null) continue
        const message = `the ${side} of ${rule.action} rule ${rule.index} of ${title} matches nothing: ${sayMiss(miss)}`
        report(subject, policy.spec === null ? at : peerPath([...at, side], miss.fault.label ?? ''), message)
      }
    }
  },
}

/** Policies that select no endpoint at all. */
export const selectsNothing: LintRule = {
  id: 'selects-nothing',
  severity: 'info',
  title: 'a policy that selects no endpoint',
  why: 'A policy that selects nothing does nothing. That is as it should be for a quarantine that waits for its label, and a mistake for most others.',
  remedy: 'Compare the selector with the labels of the pods it is meant for.',
  check({ policies, inventory }, report) {
    if (!inventory.hasWorkloads) return
    for (const policy of policies) {
      if (policy.endpoints.length > 0 || policy.flat.stagedAction === 'delete') continue
      if (missOf(policy.flat.selector, inventory.endpoints) !== null) continue
      const at = policy.spec === null ? ['spec'] : ['spec', 'selector']
      report(policy.subject, at, `${policy.title} selects no endpoint (${policy.flat.selector.canonical})`)
    }
  },
}

/** Rules for peers of whom there are none. */
export const peerMatchesNothing: LintRule = {
  id: 'peer-matches-nothing',
  severity: 'info',
  title: 'a rule whose source or destination selects nothing',
  why: 'The rule never matches as things are: what it was to allow is decided by the rules after it.',
  remedy:
    'Compare the selector with the labels of the pods and network sets it is meant for, and mind the namespace: in a namespaced policy a selector looks into its own namespace only.',
  check({ policies, inventory }, report) {
    if (!inventory.hasWorkloads) return
    for (const policy of policies) {
      for (const { side, rule, at, entity } of peersOf(policy)) {
        const selector = entity.selector as Selector
        if (isFound(entity, inventory) || missOf(selector, inventory.things) !== null) continue
        const message = `the ${side} of ${rule.action} rule ${rule.index} of ${policy.title} matches nothing (${selector.canonical})`
        report(policy.subject, policy.spec === null ? at : [...at, side], message)
      }
    }
  },
}

/** Selectors by what a label is not, which match everything that has no such label. */
export const negatedLabel: LintRule = {
  id: 'negated-label',
  severity: 'info',
  title: 'a selector by what a label is not, which also matches everything without that label',
  why: '`PCI != "true"` holds for every object that has no label PCI: the name servers, network sets of outside addresses, host endpoints. A Deny rule cuts these off too.',
  remedy:
    'Add has(<label>) && if only labelled objects are meant, or allow (or pass) DNS and outside addresses in rules before this one.',
  check({ policies, inventory }, report) {
    for (const policy of policies) {
      for (const { side, rule, at, entity } of peersOf(policy)) {
        if (rule.action !== 'deny' || entity.selector === null) continue
        const labels = negatedLabels(entity.selector.expression)
        if (labels.length === 0) continue
        const without = inventory
          .select(entity.selector.expression)
          .filter(({ merged }) => labels.every((label) => merged[label] === undefined))
        if (without.length === 0) continue
        const message = `the ${side} of deny rule ${rule.index} of ${policy.title} also matches ${without.length} objects without the label ${labels.map(bare).join(', ')}: ${listOfThings(without)}`
        report(policy.subject, policy.spec === null ? at : peerPath([...at, side], labels[0] as string), message)
      }
    }
  },
}

interface Peer {
  readonly side: (typeof sides)[number]
  readonly rule: FlatRule
  readonly at: Path
  readonly entity: FlatEntity
}

/** Both sides of every rule of a policy. */
function* peersOf({ flat }: LintPolicy): Iterable<Peer> {
  for (const direction of directions) {
    for (const rule of flat.rules[direction]) {
      for (const side of sides) yield { side, rule, at: ['spec', direction, rule.index], entity: rule[side] }
    }
  }
}

/** A label as the user writes it, without the prefix of namespaces or service accounts. */
function bare(label: string): string {
  if (label.startsWith(namespacePrefix)) return label.slice(namespacePrefix.length)
  return label.startsWith(serviceAccountPrefix) ? label.slice(serviceAccountPrefix.length) : label
}

/** True for a side that does not select, or finds something. */
function isFound({ selector }: FlatEntity, inventory: Inventory): boolean {
  return selector === null || inventory.select(selector.expression).length > 0
}

/** The slip that keeps a selector from what it was probably meant for, and how many it would find without. */
interface Miss {
  readonly fault: SelectorFault
  readonly things: readonly Thing[]
}

function missOf(selector: Selector, things: readonly Thing[]): Miss | null {
  const found = nearMisses(
    selector,
    things.map(({ merged }) => merged),
  )
  // The word that would find the most.
  const counts = new Map<string, number>()
  for (const { fault } of found) counts.set(keyOf(fault), (counts.get(keyOf(fault)) ?? 0) + 1)
  const [best] = [...counts].sort(([, a], [, b]) => b - a)
  if (best === undefined) return null
  const same = found.filter(({ fault }) => keyOf(fault) === best[0])
  return {
    fault: (same[0] as (typeof same)[number]).fault,
    things: same.map(({ position }) => things[position] as Thing),
  }
}

const keyOf = ({ kind, label, found, meant }: SelectorFault) => JSON.stringify([kind, label, found, meant])

function sayMiss({ fault, things }: Miss): string {
  const { kind, label, found, meant, test } = fault
  const whose = whoseLabel(label ?? '')
  const name = bare(label ?? '')
  const who = listOfThings(things)
  if (kind === 'misspelt-value') return `the ${whose} ${name} of ${who} is ${found}, not ${meant}`
  if (kind === 'misspelt-label') return `${who} has the ${whose} ${bare(meant ?? '')}, not ${name}`
  return `${who} would be selected but for ${test.replaceAll(label ?? '', name)}`
}

function whoseLabel(label: string): string {
  if (label.startsWith(namespacePrefix)) return 'namespace label'
  return label.startsWith(serviceAccountPrefix) ? 'service account label' : 'label'
}

function selectorPath({ spec }: LintPolicy, at: Path, label: string): Path {
  if (spec === null) return at
  if (label.startsWith(namespacePrefix)) return [...at, 'namespaceSelector']
  return [...at, label.startsWith(serviceAccountPrefix) ? 'serviceAccountSelector' : 'selector']
}

function peerPath(at: Path, label: string): Path {
  if (label.startsWith(namespacePrefix)) return [...at, 'namespaceSelector']
  const isAccount = label.startsWith(serviceAccountPrefix) || label === serviceAccountLabel
  return [...at, isAccount ? 'serviceAccounts' : 'selector']
}
