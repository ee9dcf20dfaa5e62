/** A piece of SQL text with its place. `depth` counts open parentheses, brackets and braces around it. */
export interface Token {
  readonly kind: 'word' | 'string' | 'quoted' | 'number' | 'sign'
  readonly text: string
  readonly start: number
  readonly end: number
  readonly depth: number
  /** False for a quote or a comment that runs to the end of the text unclosed; nothing follows it. */
  readonly isClosed: boolean
}

const closing: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`' }
const word = /[\p{L}_$][\p{L}\p{N}_$]*/uy
const number = /\d[\d_]*(\.\d+)?([eE][+-]?\d+)?[\w]*/y
const heredoc = /\$(\w*)\$/y

/**
 * The tokens of ClickHouse SQL, one by one, without white space and comments. Lazy on purpose: the reader of an INSERT stops
 * where its data begin. What is never closed, a comment too, is a last token that ends with the text. Lexical rules of ClickHouse's
 * documentation, "Syntax".
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
    if (sql.startsWith('--', at) || sql.startsWith('# ', at) || sql.startsWith('#!', at)) {
      const line = sql.indexOf('\n', at)
      at = line === -1 ? sql.length : line + 1
      continue
    }
    if (sql.startsWith('/*', at)) {
      const end = sql.indexOf('*/', at + 2)
      if (end === -1)
        return yield { kind: 'sign', text: sql.slice(at), start: at, end: sql.length, depth, isClosed: false }
      at = end + 2
      continue
    }
    const start = at
    if (closing[c] !== undefined) {
      const end = endOfQuote(sql, at)
      at = end ?? sql.length
      const kind = c === "'" ? 'string' : 'quoted'
      yield { kind, text: sql.slice(start, at), start, end: at, depth, isClosed: end !== null }
      continue
    }
    heredoc.lastIndex = at
    const tag = heredoc.exec(sql)?.[0]
    if (tag !== undefined) {
      const end = sql.indexOf(tag, at + tag.length)
      at = end === -1 ? sql.length : end + tag.length
      yield { kind: 'string', text: sql.slice(start, at), start, end: at, depth, isClosed: end !== -1 }
      continue
    }
    word.lastIndex = at
    number.lastIndex = at
    const name = word.exec(sql)?.[0] ?? number.exec(sql)?.[0]
    if (name !== undefined) {
      at += name.length
      yield { kind: /^\d/.test(name) ? 'number' : 'word', text: name, start, end: at, depth, isClosed: true }
      continue
    }
    if (c === ')' || c === ']' || c === '}') depth = Math.max(0, depth - 1)
    at += c.length
    yield { kind: 'sign', text: c, start, end: at, depth, isClosed: true }
    if (c === '(' || c === '[' || c === '{') depth += 1
  }
}

/** Where a quoted text ends; null when it is not closed. */
function endOfQuote(sql: string, start: number): number | null {
  const quote = sql[start] as string
  for (let at = start + 1; at < sql.length; at += 1) {
    if (sql[at] === '\\') at += 1
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1
      at += 1
    }
  }
  return null
}

/** A string literal that holds exactly this text. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** A quoted identifier. */
export function identifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}
