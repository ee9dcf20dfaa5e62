import { literal, type Token, tokens } from '@margay/kit/sql'

/** How a statement is to be run: with rows to read, without, or as an insert whose data come from a file. */
export type Statement =
  | { readonly kind: 'rows'; readonly sql: string; readonly format: string | null; readonly streams: boolean }
  | {
      readonly kind: 'insert'
      /** The statement that reads its data from a file. */
      from(file: string): string
      /** Data that the text itself held; they go before the request's own. */
      readonly data: string
    }
  | { readonly kind: 'refused'; readonly code: number; readonly message: string }

/** Formats whose chunks can be written one after the other as they come; every other one is built whole. */
const streamed = new Set([
  'JSONEachRow',
  'JSONCompactEachRow',
  'JSONStringsEachRow',
  'JSONCompactStringsEachRow',
  'CSV',
  'TSV',
  'TabSeparated',
  'TSVRaw',
  'TabSeparatedRaw',
  'RowBinary',
  'Native',
])

/**
 * Reads the outline of one statement. Data after `INSERT … FORMAT x` or `INSERT … VALUES` are cut off: the engine ends inline
 * data at the first empty line and runs what follows as SQL, so they are never handed to it inside a statement.
 */
export function readStatement(sql: string, defaultFormat: string | null): Statement {
  const first = tokens(sql).next().value as Token | undefined
  if (first === undefined) return refused(62, 'Syntax error: empty query')
  const verb = first.text.toUpperCase()
  if (verb === 'INSERT') {
    const insert = readInsert(sql)
    if (insert !== null) return insert
  }
  const all = [...tokens(sql)]
  const end = all.findIndex((t) => t.text === ';' && t.kind === 'sign')
  if (end !== -1 && all.slice(end).some((t) => t.text !== ';'))
    return refused(62, 'Syntax error (Multi-statements are not allowed): send one statement at a time')
  if (verb === 'KILL') return { kind: 'rows', sql: asynchronous(sql, all), format: null, streams: false }
  const named = all.findLastIndex((t) => t.depth === 0 && t.kind === 'word' && t.text.toUpperCase() === 'FORMAT')
  const after = named === -1 ? undefined : all[named + 1]
  const format = after?.kind === 'word' && named > 0 ? after.text : defaultFormat
  const reads = ['SELECT', 'WITH', 'FROM', '('].includes(verb)
  const writes = all.some((t) => t.depth === 0 && t.kind === 'word' && t.text.toUpperCase() === 'INSERT')
  return {
    kind: 'rows',
    sql,
    format,
    streams: reads && !writes && streamed.has(format ?? 'TabSeparated'),
  }
}

function refused(code: number, message: string): Statement {
  return { kind: 'refused', code, message }
}

/** The insert whose data follow, or null when it takes them from elsewhere (SELECT, FROM INFILE). */
function readInsert(sql: string): Statement | null {
  let settings: number | undefined
  let format = false
  for (const token of tokens(sql)) {
    if (token.depth > 0 || token.kind !== 'word') continue
    const text = token.text.toUpperCase()
    if (format) {
      const at = settings ?? sql.slice(0, token.start).search(/\bFORMAT\s*$/i)
      return insertOf(sql, { at, end: token.end, data: token.end })
    }
    if (text === 'SELECT' || text === 'WITH' || text === 'FROM') return null
    if (text === 'SETTINGS') settings = token.start
    else if (text === 'FORMAT') format = true
    else if (text === 'VALUES')
      return insertOf(sql, { at: settings ?? token.start, end: token.start, data: token.end, format: 'Values' })
  }
  return null
}

function insertOf(sql: string, place: { at: number; end: number; data: number; format?: string }): Statement {
  const head = sql.slice(0, place.at)
  const tail = sql.slice(place.at, place.end)
  const format = place.format === undefined ? '' : ` FORMAT ${place.format}`
  return {
    kind: 'insert',
    from: (file) => `${head} FROM INFILE ${literal(file)} COMPRESSION 'none' ${tail}${format}`,
    data: sql.slice(place.data).replace(/^[ \t\f\r]*\n?/, ''),
  }
}

/** KILL … SYNC never comes back from the engine; ASYNC does the same and returns. */
function asynchronous(sql: string, all: readonly Token[]): string {
  const sync = all.findLast((t) => t.depth === 0 && t.kind === 'word' && t.text.toUpperCase() === 'SYNC')
  return sync === undefined ? sql : `${sql.slice(0, sync.start)}ASYNC${sql.slice(sync.end)}`
}
