import { editDistance } from '../../resources/spelling.ts'
import type { Labels } from '../model.ts'
import { printExpression } from './canonical.ts'
import type { Expression } from './expression.ts'
import { compileMatcher } from './matcher.ts'
import type { Selector } from './selector.ts'

/** A test of a selector that labels do not pass. */
export interface SelectorFault {
  /** The test in canonical form, with `!` in front when it must not hold. */
  readonly test: string
  /** The label that it looks at; null for a test that nothing passes, such as `!all()`. */
  readonly label: string | null
  /** The value of that label; null when it is absent. */
  readonly found: string | null
  /**
   * `missing`: the label is absent. `misspelt-label`: it is, but one of nearly that name is there. `misspelt-value`: its value nearly
   * passes. `other-value`: its value does not pass. `forbidden`: the test must not hold, and does.
   */
  readonly kind: 'missing' | 'misspelt-label' | 'misspelt-value' | 'other-value' | 'forbidden'
  /** The label, or the value of the selector, that was probably meant. */
  readonly meant: string | null
}

/** Labels that pass all tests of a selector but one, and that one by little. */
export interface NearMiss {
  /** Position in the list of labels given. */
  readonly position: number
  readonly fault: SelectorFault
}

/** The fewest tests of a selector that would have to turn out otherwise for it to select the labels; none when it does. */
export function selectorFaults(selector: Pick<Selector, 'expression'>, labels: Labels): readonly SelectorFault[] {
  return faults(selector.expression, labels, true)
}

/**
 * The one fault that keeps a selector from selecting the labels, when it looks like a slip: a label or value with a typo (at most two
 * letters, and at most a third of them), or a missing label beside others that pass. Labels that the system sets are no slips. Null for
 * labels that are selected or are something else altogether.
 */
export function nearMiss(selector: Pick<Selector, 'expression'>, labels: Labels): SelectorFault | null {
  const [fault, second] = selectorFaults(selector, labels)
  if (fault === undefined || second !== undefined || fault.label === null || isDerived(fault.label)) return null
  if (fault.kind === 'misspelt-label' || fault.kind === 'misspelt-value') return fault
  return fault.kind === 'missing' && passes(selector.expression, labels) > 0 ? fault : null
}

/** The labels of a list that a selector nearly selects. */
export function nearMisses(selector: Pick<Selector, 'expression'>, list: Iterable<Labels>): NearMiss[] {
  const found: NearMiss[] = []
  let position = 0
  for (const labels of list) {
    const fault = nearMiss(selector, labels)
    if (fault !== null) found.push({ position, fault })
    position++
  }
  return found
}

/** A fault in words: `role is missing (wanted: role == "client")`. */
export function printFault({ test, label, found, kind, meant }: SelectorFault): string {
  if (label === null) return `nothing passes ${test}`
  const wanted = `(wanted: ${test})`
  switch (kind) {
    case 'missing':
      return `${label} is missing ${wanted}`
    case 'misspelt-label':
      return `${label} is missing, but there is ${meant} ${wanted}`
    case 'misspelt-value':
      return `${label} is ${JSON.stringify(found)}, nearly ${JSON.stringify(meant)} ${wanted}`
    default:
      return `${label} is ${JSON.stringify(found)} ${wanted}`
  }
}

const systemPrefix = 'projectcalico.org/'
const isDerived = (label: string) => label.startsWith(systemPrefix)

function faults(expression: Expression, labels: Labels, wanted: boolean): readonly SelectorFault[] {
  switch (expression.kind) {
    case 'not':
      return faults(expression.operand, labels, !wanted)
    case 'and':
    case 'or': {
      const each = expression.operands.map((operand) => faults(operand, labels, wanted))
      // All must turn out so, or the one that is nearest.
      if ((expression.kind === 'and') === wanted) return each.flat()
      return each.reduce((least, one) => (one.length < least.length ? one : least))
    }
    default:
      return compileMatcher(expression)(labels) === wanted ? [] : [faultOf(expression, labels, wanted)]
  }
}

function faultOf(test: Expression, labels: Labels, wanted: boolean): SelectorFault {
  const text = wanted ? printExpression(test) : `!${printExpression(test)}`
  if (!('label' in test)) return { test: text, label: null, found: null, kind: 'forbidden', meant: null }
  const { label } = test
  const found = Object.hasOwn(labels, label) ? (labels[label] as string) : null
  const fault = (kind: SelectorFault['kind'], meant: string | null = null): SelectorFault => ({
    test: text,
    label,
    found,
    kind,
    meant,
  })
  if (!wanted || isNegative(test)) return fault(found === null ? 'missing' : 'forbidden')
  if (found !== null) {
    const meant = nearest(found, valuesOf(test))
    return meant === null ? fault('other-value') : fault('misspelt-value', meant)
  }
  const passing = compileMatcher(test)
  const renamed = (key: string) => ({ [label]: labels[key] as string })
  const candidates = Object.keys(labels).filter((key) => !isDerived(key) && passing(renamed(key)))
  const meant = nearest(label, candidates)
  return meant === null ? fault('missing') : fault('misspelt-label', meant)
}

const isNegative = (test: Expression) =>
  (test.kind === 'compare' && test.operator === '!=') || (test.kind === 'in' && test.negated)

function valuesOf(test: Expression): readonly string[] {
  if (test.kind === 'in') return test.values
  return test.kind === 'compare' && test.operator === '==' ? [test.value] : []
}

/** The word that differs by a slip of the pen, or null. Words that count, as `web-1` and `web-2`, differ on purpose. */
function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null
  let least = 3
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > 2 || sameButNumbers(word, candidate)) continue
    const edits = editDistance(word, candidate)
    if (edits < least && edits <= Math.max(word.length, candidate.length) / 3) {
      least = edits
      best = candidate
    }
  }
  return best
}

const sameButNumbers = (a: string, b: string) => a.replace(/\d+/g, '0') === b.replace(/\d+/g, '0')

/** How many positive tests of user-given labels the labels pass. */
function passes(expression: Expression, labels: Labels): number {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return expression.operands.reduce((sum, operand) => sum + passes(operand, labels), 0)
    case 'has':
    case 'compare':
    case 'in':
      return !isNegative(expression) && !isDerived(expression.label) && compileMatcher(expression)(labels) ? 1 : 0
    default:
      return 0
  }
}
