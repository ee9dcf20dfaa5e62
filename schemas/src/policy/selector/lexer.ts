import type { CompareOperator } from './expression.ts'

/** A selector that cannot be read: what is wrong, and where (offset in characters from 0). */
export class SelectorError extends Error {
  readonly code = 'SELECTOR_INVALID'
  readonly position: number

  constructor(message: string, position: number) {
    super(`${message} at position ${position}`)
    this.name = 'SelectorError'
    this.position = position
  }
}

/** Operators between a label and its operand. */
export type Operator = CompareOperator | 'in' | 'not in'
/** Everything that is neither a label, a text nor an operator. */
export type Mark = '(' | ')' | '{' | '}' | ',' | '&&' | '||' | '!' | 'all' | 'global' | 'end'
/** A piece of a selector and where it lies. */
export type Token =
  | { readonly kind: Mark; readonly position: number }
  | { readonly kind: 'operator'; readonly operator: Operator; readonly position: number }
  | { readonly kind: 'label' | 'has' | 'string'; readonly text: string; readonly position: number }

const longestLabel = 512
const operators: readonly (readonly [RegExp, Operator])[] = [
  [/==/y, '=='],
  [/!=/y, '!='],
  [/contains\b/y, 'contains'],
  [/starts[ \t]*with\b/y, 'starts with'],
  [/ends[ \t]*with\b/y, 'ends with'],
  [/in\b/y, 'in'],
  [/not[ \t]*in\b/y, 'not in'],
]
const space = /[ \t]*/y
const symbols = /&&|\|\||[(){},!]/y
const quoted = /"([^"]*)"|'([^']*)'/y
const call = /(?:has\([ \t]*([A-Za-z0-9_./-]+)|(all|global)\()[ \t]*\)/y
const word = /[A-Za-z0-9_./-]+/y

/**
 * Splits a selector into tokens. What a word means depends on what stands before it: after a label only an operator can follow, elsewhere
 * only an operand, so that labels may be called `in` or `has`.
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  let afterLabel = false
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match !== null) at = pattern.lastIndex
    return match
  }
  const labelOf = (label: string, position: number): string => {
    if (label.length > longestLabel) throw new SelectorError(`label longer than ${longestLabel} characters`, position)
    return label
  }

  for (;;) {
    take(space)
    const position = at
    if (at >= text.length) break
    if (afterLabel) {
      const found = operators.find(([pattern]) => take(pattern) !== null)
      if (found === undefined)
        throw new SelectorError(`expected an operator after a label, found ${shown(text, at)}`, at)
      tokens.push({ kind: 'operator', operator: found[1], position })
      afterLabel = false
      continue
    }
    const symbol = take(symbols)
    if (symbol !== null) {
      tokens.push({ kind: symbol[0] as Mark, position })
      continue
    }
    const string = take(quoted)
    if (string !== null) {
      tokens.push({ kind: 'string', text: string[1] ?? string[2] ?? '', position })
      continue
    }
    const called = take(call)
    if (called !== null) {
      if (called[1] !== undefined) tokens.push({ kind: 'has', text: labelOf(called[1], position), position })
      else tokens.push({ kind: called[2] as Mark, position })
      continue
    }
    const label = take(word)
    if (label === null) throw new SelectorError(problemAt(text, at), at)
    tokens.push({ kind: 'label', text: labelOf(label[0], position), position })
    afterLabel = true
  }
  tokens.push({ kind: 'end', position: text.length })
  return tokens
}

function problemAt(text: string, at: number): string {
  const character = text[at]
  if (character === '"' || character === "'") return 'unterminated string'
  if (character === '&' || character === '|') return `expected ${character}${character}, found ${shown(text, at)}`
  return `unexpected ${shown(text, at)}`
}

/** What stands at a place, as error messages show it. */
function shown(text: string, at: number): string {
  return at >= text.length ? 'the end' : JSON.stringify(text.slice(at, at + 12))
}
