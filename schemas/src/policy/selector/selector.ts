import { base64url, sha224 } from '../digest.ts'
import type { Labels } from '../model.ts'
import { printExpression } from './canonical.ts'
import type { Expression } from './expression.ts'
import { compileMatcher } from './matcher.ts'
import { remembering } from './memo.ts'
import { parseExpression } from './parser.ts'

/** A question about labels, as policies ask it: `app == 'web' && tier in {'a', 'b'}`. */
export interface Selector {
  /** The one spelling that equal selectors share. */
  readonly canonical: string
  readonly expression: Expression
  matches(labels: Labels): boolean
}

/** Canonical texts that are remembered with what was made of them. */
const remembered = 5000

/** Trees of one canonical text mean the same, so the first stands for all. */
const selectorOfText = remembering(
  remembered,
  (canonical, expression: Expression): Selector => ({ canonical, expression, matches: compileMatcher(expression) }),
)

/** Makes a selector of a tree. */
export function selectorOf(expression: Expression): Selector {
  return selectorOfText(printExpression(expression), expression)
}

/** Reads a selector (Calico's language); the empty text selects everything. Throws SelectorError with the position of the fault. */
export function parseSelector(text: string): Selector {
  return selectorOf(parseExpression(text))
}

/** Identity of the address set of a selector: `s:` and the base64url SHA-224 of `s:<canonical>`, so that two spellings share one set. */
export const selectorId: (canonical: string) => string = remembering(
  remembered,
  (canonical) => `s:${base64url(sha224(`s:${canonical}`))}`,
)
