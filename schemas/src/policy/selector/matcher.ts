import type { Labels } from '../model.ts'
import type { Expression } from './expression.ts'

/** Whether labels satisfy a selector. */
export type Matcher = (labels: Labels) => boolean

const read = (labels: Labels, label: string): string | undefined =>
  Object.hasOwn(labels, label) ? labels[label] : undefined

/** Compiles a selector to a function of labels. An absent label fails every positive test and passes `!=` and `not in`. */
export function compileMatcher(expression: Expression): Matcher {
  switch (expression.kind) {
    case 'all':
    case 'global':
      return () => true
    case 'has': {
      const { label } = expression
      return (labels) => Object.hasOwn(labels, label)
    }
    case 'compare':
      return compileComparison(expression)
    case 'in': {
      const { label, negated } = expression
      const values = new Set(expression.values)
      return (labels) => {
        const value = read(labels, label)
        return (value !== undefined && values.has(value)) !== negated
      }
    }
    case 'not': {
      const operand = compileMatcher(expression.operand)
      return (labels) => !operand(labels)
    }
    case 'and': {
      const operands = expression.operands.map(compileMatcher)
      return (labels) => operands.every((operand) => operand(labels))
    }
    case 'or': {
      const operands = expression.operands.map(compileMatcher)
      return (labels) => operands.some((operand) => operand(labels))
    }
  }
}

function compileComparison({ label, operator, value }: Expression & { kind: 'compare' }): Matcher {
  switch (operator) {
    case '==':
      return (labels) => read(labels, label) === value
    case '!=':
      return (labels) => read(labels, label) !== value
    case 'contains':
      return (labels) => read(labels, label)?.includes(value) === true
    case 'starts with':
      return (labels) => read(labels, label)?.startsWith(value) === true
    case 'ends with':
      return (labels) => read(labels, label)?.endsWith(value) === true
  }
}
