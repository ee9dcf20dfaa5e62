import { definitionOf } from '../events/definitions.ts'
import type { Substitution } from '../query/expression.ts'
import { parseQuery } from '../query/parser.ts'
import { printQuery } from '../query/printer.ts'
import { querySql } from '../query/sql.ts'
import { type Given, messageOf, textOf } from './request.ts'

/** What is said of a query. */
export interface QueryAnswer {
  readonly valid: boolean
  readonly canonical: string | null
  /** Condition for ClickHouse, its values bound as `{p0:String}`. */
  readonly sql: string | null
  readonly error: string | null
  /** Values of the bound parameters; absent when the query is not valid. */
  readonly params?: Readonly<Record<string, unknown>>
}

/** Answers `{dataSet, query, substitutions?}`. Throws VectorError when these are no text. */
export function answerQuery(given: Given): QueryAnswer {
  const dataSet = textOf(given, 'dataSet')
  const text = textOf(given, 'query')
  const definition = definitionOf(dataSet)
  if (definition === null)
    return { valid: false, canonical: null, sql: null, error: `there is no data set ${JSON.stringify(dataSet)}` }
  try {
    const substitutions = (given.substitutions ?? []) as readonly Substitution[]
    const query = parseQuery(text, definition, { substitutions })
    const { sql, params } = querySql(query)
    return { valid: true, canonical: printQuery(query), sql, error: null, params }
  } catch (error) {
    return { valid: false, canonical: null, sql: null, error: messageOf(error) }
  }
}
