import { printExpression } from '../policy/selector/canonical.ts'
import { type Expression, not } from '../policy/selector/expression.ts'
import { compileMatcher } from '../policy/selector/matcher.ts'

/**
 * True when everything that the narrow selector selects, whatever its labels, the wide one selects too. It never says so wrongly; it may
 * fail to see it in selectors that say the same in very different words.
 */
export function implies(narrow: Expression, wide: Expression): boolean {
  return decide(pushNegations(narrow, false), pushNegations(wide, false))
}

/** The same selector with `!` at its leaves only, and in comparisons where there is an operator for it. */
function pushNegations(expression: Expression, negated: boolean): Expression {
  switch (expression.kind) {
    case 'not':
      return pushNegations(expression.operand, !negated)
    case 'and':
    case 'or': {
      const other = expression.kind === 'and' ? 'or' : 'and'
      return {
        kind: negated ? other : expression.kind,
        operands: expression.operands.map((operand) => pushNegations(operand, negated)),
      }
    }
    case 'in':
      return negated ? { ...expression, negated: !expression.negated } : expression
    case 'compare':
      if (!negated) return expression
      if (expression.operator === '==') return { ...expression, operator: '!=' }
      return expression.operator === '!=' ? { ...expression, operator: '==' } : not(expression)
    default:
      return negated ? not(expression) : expression
  }
}

const isAll = ({ kind }: Expression) => kind === 'all' || kind === 'global'

function decide(narrow: Expression, wide: Expression): boolean {
  if (isAll(wide)) return true
  if (narrow.kind === 'not' && isAll(narrow.operand)) return true
  if (printExpression(narrow) === printExpression(wide)) return true
  if (wide.kind === 'and') return wide.operands.every((operand) => decide(narrow, operand))
  if (narrow.kind === 'or') return narrow.operands.every((operand) => decide(operand, wide))
  if (wide.kind === 'or' && wide.operands.some((operand) => decide(narrow, operand))) return true
  if (narrow.kind === 'and') return narrow.operands.some((operand) => decide(operand, wide))
  return decideLeaf(narrow, wide)
}

function decideLeaf(narrow: Expression, wide: Expression): boolean {
  const label = labelOf(wide)
  if (label === null || label !== labelOf(narrow)) return false
  const holds = compileMatcher(wide)
  const values = valuesOf(narrow)
  if (values !== null) return values.every((value) => holds({ [label]: value }))
  if (narrow.kind === 'not') return narrow.operand.kind === 'has' && holds({})
  const excluded = exclusionsOf(narrow)
  if (excluded !== null) {
    const others = exclusionsOf(wide)
    return others?.every((value) => excluded.includes(value)) === true
  }
  // Every test that is left demands the label: has, contains, starts with, ends with.
  return wide.kind === 'has'
}

function labelOf(leaf: Expression): string | null {
  if (leaf.kind === 'not') return labelOf(leaf.operand)
  return 'label' in leaf ? leaf.label : null
}

/** The values one of which the label must have; null when that is not said. */
function valuesOf(leaf: Expression): readonly string[] | null {
  if (leaf.kind === 'in' && !leaf.negated) return leaf.values
  return leaf.kind === 'compare' && leaf.operator === '==' ? [leaf.value] : null
}

/** The values that the label must not have (it may be absent); null when that is not said. */
function exclusionsOf(leaf: Expression): readonly string[] | null {
  if (leaf.kind === 'in' && leaf.negated) return leaf.values
  return leaf.kind === 'compare' && leaf.operator === '!=' ? [leaf.value] : null
}
