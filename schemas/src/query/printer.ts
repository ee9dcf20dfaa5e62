import type { Expression, Query } from './expression.ts'
import { isReserved } from './parser.ts'

/** The canonical text of a query: upper-case keywords, only the brackets that are needed, quotes where they are. */
export function printQuery(query: Query): string {
  return query.expression === null ? '' : print(query.expression)
}

function print(expression: Expression): string {
  switch (expression.kind) {
    case 'or':
      return expression.operands.map(print).join(' OR ')
    case 'and':
      return expression.operands.map((one) => bracket(one, one.kind === 'or')).join(' AND ')
    case 'not':
      return `NOT ${bracket(expression.operand, expression.operand.kind === 'and' || expression.operand.kind === 'or')}`
    case 'compare':
      return `${quoteWord(expression.field.name)} ${expression.operator} ${quoteWord(expression.value)}`
    case 'empty':
      return `${quoteWord(expression.field.name)} EMPTY`
    case 'in': {
      const { field, negated, values, substitution } = expression
      const set = substitution === null ? `{${values.map(quoteWord).join(', ')}}` : `\${${substitution}}`
      return `${quoteWord(field.name)} ${negated ? 'NOTIN' : 'IN'} ${set}`
    }
  }
}

function bracket(expression: Expression, needed: boolean): string {
  return needed ? `(${print(expression)})` : print(expression)
}

/** A name or value as a query writes it: identifiers and numbers bare, everything else in double quotes. */
function quoteWord(text: string): string {
  if (/^([A-Za-z_]\w*|-?\d+(\.\d+)?)$/.test(text) && !isReserved(text)) return text
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
