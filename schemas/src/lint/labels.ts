import type { Expression } from '../policy/selector/expression.ts'

/** Tests of a selector of which all must hold. */
const conjuncts = (expression: Expression) => (expression.kind === 'and' ? expression.operands : [expression])

/** Labels that a selector demands: nothing without them is selected. */
export function demandedLabels(expression: Expression): string[] {
  return conjuncts(expression).flatMap((test) => ('label' in test && !isNegative(test) ? [test.label] : []))
}

/** Labels by whose absence a selector holds: those of `!=` and `not in` that no other test of it demands. */
export function negatedLabels(expression: Expression): string[] {
  const demanded = new Set(demandedLabels(expression))
  return conjuncts(expression).flatMap((test) => {
    const negative = test.kind === 'not' && isPositiveTest(test.operand) ? test.operand : isNegative(test) ? test : null
    return negative !== null && 'label' in negative && !demanded.has(negative.label) ? [negative.label] : []
  })
}

const isPositiveTest = (test: Expression) => (test.kind === 'compare' || test.kind === 'in') && !isNegative(test)

function isNegative(test: Expression): boolean {
  return (test.kind === 'compare' && test.operator === '!=') || (test.kind === 'in' && test.negated)
}
