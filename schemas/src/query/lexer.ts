import { QueryError } from './query-error.ts'

/** A piece of a query and where it lies in the text. */
export interface Token {
  /** `word`: bare; `string`: in quotes; `substitution`: `${name}`; `symbol`: operator, bracket or comma. */
  readonly kind: 'word' | 'string' | 'substitution' | 'symbol' | 'end'
  /** Bare text, the text inside quotes with escapes resolved, the name of a substitution, or the symbol. */
  readonly text: string
  readonly position: number
  readonly length: number
}

const spaces = /[\s]*/y
const word = /[A-Za-z0-9_.:/*?+-]+/y
const symbol = /!=|<=|>=|[=<>(){},]/y
const substitution = /\$\{\s*([^{}]*?)\s*\}/y

/** Operators of other languages, and what to write instead. */
const mistaken: readonly (readonly [string, string])[] = [
  ['&&', 'AND'],
  ['||', 'OR'],
  ['!', 'NOT'],
  ['$', `\${name}`],
]

/** Splits a query into tokens; the last is always `end`. Throws a QueryError at the first character that fits nowhere. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let position = 0
  const match = (pattern: RegExp) => {
    pattern.lastIndex = position
    return pattern.exec(text)
  }
  for (;;) {
    position += match(spaces)?.[0].length ?? 0
    const character = text[position]
    if (character === undefined) {
      tokens.push({ kind: 'end', text: '', position, length: 0 })
      return tokens
    }
    const token = character === '"' || character === "'" ? quoted(text, position) : plain()
    tokens.push(token)
    position += token.length
  }

  function plain(): Token {
    for (const [kind, pattern] of [
      ['word', word],
      ['symbol', symbol],
      ['substitution', substitution],
    ] as const) {
      const found = match(pattern)
      if (found) return { kind, text: found[1] ?? found[0], position, length: found[0].length }
    }
    const rest = text.slice(position)
    const other = mistaken.find(([operator]) => rest.startsWith(operator))
    const shown = other?.[0] ?? String.fromCodePoint(rest.codePointAt(0) as number)
    const advice = other ? `write ${other[1]}` : 'put values with special characters in quotes'
    throw new QueryError(`unexpected ${shown}: ${advice}`, position, shown.length)
  }
}

/** A backslash escapes a quote or a backslash; before any other character it stands for itself. */
function quoted(text: string, position: number): Token {
  const quote = text[position]
  let value = ''
  for (let at = position + 1; at < text.length; at++) {
    const character = text[at] as string
    if (character === quote) return { kind: 'string', text: value, position, length: at + 1 - position }
    const next = text[at + 1]
    if (character === '\\' && (next === '\\' || next === '"' || next === "'")) {
      value += next
      at += 1
    } else value += character
  }
  throw new QueryError(`the quote ${quote} is never closed`, position, text.length - position)
}
