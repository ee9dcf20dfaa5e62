import type { Expression } from './expression.ts'

/** The one spelling of a selector: operands of `&&` and `||` in parentheses, sets sorted and without duplicates, double quotes where possible. */
export function printExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'all':
      return 'all()'
    case 'global':
      return 'global()'
    case 'has':
      return `has(${expression.label})`
    case 'compare':
      return `${expression.label} ${expression.operator} ${quote(expression.value)}`
    case 'in':
      return `${expression.label} ${expression.negated ? 'not in' : 'in'} {${[...new Set(expression.values)].sort().map(quote).join(', ')}}`
    case 'not':
      return `!${printExpression(expression.operand)}`
    default:
      return `(${expression.operands.map(printExpression).join(expression.kind === 'and' ? ' && ' : ' || ')})`
  }
}

function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`
}
