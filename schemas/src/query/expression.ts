import type { EventDefinition } from '../events/event.ts'
import type { Field } from './field.ts'

/** A query that was understood. Values keep the text they were written with; fields are resolved. */
export interface Query {
  readonly definition: EventDefinition
  /** null selects everything. */
  readonly expression: Expression | null
  /** Substitutions given that the query does not use: worth a warning. */
  readonly unusedSubstitutions: readonly string[]
}

/** Operators between a field and a value. */
export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>='

/** A query as a tree. */
export type Expression =
  /** Two operands or more, none of the same kind. */
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Expression[] }
  | { readonly kind: 'not'; readonly operand: Expression }
  | { readonly kind: 'compare'; readonly field: Field; readonly operator: Operator; readonly value: string }
  | {
      readonly kind: 'in'
      readonly field: Field
      /** NOTIN. */
      readonly negated: boolean
      readonly values: readonly string[]
      /** Name of the substitution that gave the values; null when they were written out. */
      readonly substitution: string | null
    }
  | { readonly kind: 'empty'; readonly field: Field }

/** A named list of values that `${name}` stands for. */
export interface Substitution {
  readonly name: string
  readonly values?: readonly string[]
}
