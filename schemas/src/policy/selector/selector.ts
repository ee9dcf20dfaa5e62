import { base64url, sha224 } from '../digest.ts'
import type { Labels } from '../model.ts'
import { printExpression } from './canonical.ts'
import type { Expression } from './expression.ts'
import { compileMatcher } from './matcher.ts'
import { parseExpression } from './parser.ts'

/** A question about labels, as policies ask it: `app == 'web' && tier in {'a', 'b'}`. */
export interface Selector {
  /** The one spelling that equal selectors share. */
  readonly canonical: string
  readonly expression: Expression
  matches(labels: Labels): boolean
}

/** Makes a selector of a tree. */
export function selectorOf(expression: Expression): Selector {
  return { canonical: printExpression(expression), expression, matches: compileMatcher(expression) }
}

/** Reads a selector (Calico's language); the empty text selects everything. Throws SelectorError with the position of the fault. */
export function parseSelector(text: string): Selector {
  return selectorOf(parseExpression(text))
}

/** Identity of the address set of a selector: `s:` and the base64url SHA-224 of `s:<canonical>`, so that two spellings share one set. */
export function selectorId(canonical: string): string {
  return `s:${base64url(sha224(`s:${canonical}`))}`
}
