/** A piece of SQL text with its place. `depth` counts open parentheses, brackets and braces around it. */
export interface Token {
  readonly kind: 'word' | 'string' | 'quoted' | 'number' | 'sign'
  readonly text: string
  readonly start: number
  readonly end: number
  readonly depth: number
}

const closing: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`' }
const word = /[\p{L}_$][\p{L}\p{N}_$]*/uy
const number = /\d[\d_]*(\.\d+)?([eE][+-]?\d+)?[\w]*/y
const heredoc = /\$(\w*)\$/y

/**
 * The tokens of ClickHouse SQL, one by one, without white space and comments. Lazy on purpose: the reader of an INSERT stops
 * where its data begin. Text that never closes a quote or a comment ends the last token at the end of the text.
 */
export function* tokens(sql: string): Generator<Token> {
  let at = 0
  let depth = 0
  while (at < sql.length) {
    const c = sql[at] as string
    if (/\s/.test(c)) {
      at += 1
      continue
    }
    if (sql.startsWith('--', at) || c === '#') {
      const line = sql.indexOf('\n', at)
      at = line === -1 ? sql.length : line + 1
      continue
    }
    if (sql.startsWith('/*', at)) {
      const end = sql.indexOf('*/', at + 2)
      at = end === -1 ? sql.length : end + 2
      continue
    }
    const start = at
    if (closing[c] !== undefined) {
      at = endOfQuote(sql, at)
      yield { kind: c === "'" ? 'string' : 'quoted', text: sql.slice(start, at), start, end: at, depth }
      continue
    }
    heredoc.lastIndex = at
    const tag = heredoc.exec(sql)?.[0]
    if (tag !== undefined) {
      const end = sql.indexOf(tag, at + tag.length)
      at = end === -1 ? sql.length : end + tag.length
      yield { kind: 'string', text: sql.slice(start, at), start, end: at, depth }
      continue
    }
    word.lastIndex = at
    number.lastIndex = at
    const name = word.exec(sql)?.[0] ?? number.exec(sql)?.[0]
    if (name !== undefined) {
      at += name.length
      yield { kind: /^\d/.test(name) ? 'number' : 'word', text: name, start, end: at, depth }
      continue
    }
    if (c === ')' || c === ']' || c === '}') depth = Math.max(0, depth - 1)
    at += c.length
    yield { kind: 'sign', text: c, start, end: at, depth }
    if (c === '(' || c === '[' || c === '{') depth += 1
  }
}

function endOfQuote(sql: string, start: number): number {
  const quote = sql[start] as string
  for (let at = start + 1; at < sql.length; at += 1) {
    if (sql[at] === '\\') at += 1
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1
      at += 1
    }
  }
  return sql.length
}

/** A string literal that holds exactly this text. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** A quoted identifier. */
export function identifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}
