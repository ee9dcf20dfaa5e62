/** A selector as a tree. Labels and values are as written; an even number of `!` is gone. */
export type Expression =
  | { readonly kind: 'all' }
  | { readonly kind: 'global' }
  | { readonly kind: 'has'; readonly label: string }
  | { readonly kind: 'compare'; readonly label: string; readonly operator: CompareOperator; readonly value: string }
  | { readonly kind: 'in'; readonly label: string; readonly negated: boolean; readonly values: readonly string[] }
  | { readonly kind: 'not'; readonly operand: Expression }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Expression[] }

/** Operators between a label and a text. */
export type CompareOperator = '==' | '!=' | 'contains' | 'starts with' | 'ends with'

/** Builders of expressions. */
export const all: Expression = { kind: 'all' }
export const has = (label: string): Expression => ({ kind: 'has', label })
export const equals = (label: string, value: string): Expression => ({ kind: 'compare', label, operator: '==', value })
export const oneOf = (label: string, values: readonly string[]): Expression => ({
  kind: 'in',
  label,
  negated: false,
  values,
})
export const not = (operand: Expression): Expression => ({ kind: 'not', operand })

/** All of them; those that are null do not count, and none at all is `all()`. */
export function and(...operands: readonly (Expression | null)[]): Expression {
  const given = operands.filter((operand) => operand !== null)
  if (given.length === 0) return all
  return given.length === 1 ? (given[0] as Expression) : { kind: 'and', operands: given }
}

/** A copy of the tree with each leaf replaced. */
export function mapLeaves(expression: Expression, replace: (leaf: Expression) => Expression): Expression {
  switch (expression.kind) {
    case 'not':
      return { kind: 'not', operand: mapLeaves(expression.operand, replace) }
    case 'and':
    case 'or':
      return { kind: expression.kind, operands: expression.operands.map((operand) => mapLeaves(operand, replace)) }
    default:
      return replace(expression)
  }
}

/** A copy of the tree that looks at labels with a prefix before their names. */
export function prefixLabels(expression: Expression, prefix: string): Expression {
  return mapLeaves(expression, (leaf) => ('label' in leaf ? { ...leaf, label: prefix + leaf.label } : leaf))
}

/** The labels that a tree asks for, each as often as it does. */
export function labelsOf(expression: Expression): string[] {
  switch (expression.kind) {
    case 'not':
      return labelsOf(expression.operand)
    case 'and':
    case 'or':
      return expression.operands.flatMap(labelsOf)
    case 'all':
    case 'global':
      return []
    default:
      return [expression.label]
  }
}
