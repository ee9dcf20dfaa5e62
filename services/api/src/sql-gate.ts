import { MargayError } from '@margay/kit/errors'

/** Statements that read. */
const readers = ['select', 'with']

/** Functions and table functions that reach files, networks, other tables' parts or the machine. */
const forbidden = new Set(
  [
    'azureBlobStorage azureBlobStorageCluster catboostEvaluate cluster clusterAllReplicas deltaLake deltaLakeCluster dictionary',
    'executable file fileCluster fuzzJSON fuzzQuery gcs getOSKernelVersion hdfs hdfsCluster hudi hudiCluster iceberg icebergAzure',
    'icebergCluster icebergHDFS icebergLocal icebergS3 input jdbc loop merge mergeTreeIndex mergeTreeProjection mongodb mysql oss odbc',
    'paimon postgresql python redis remote remoteSecure s3 s3Cluster sleep sleepEachRow sqlite timeSeriesData timeSeriesMetrics',
    'timeSeriesTags url urlCluster ytsaurus',
  ]
    .join(' ')
    .toLowerCase()
    .split(' '),
)

/**
 * Refuses SQL that is not one statement that reads our tables. This is the first of two locks: it gives a clear message.
 * The second is the server, which runs the statement with `readonly = 1` and limits.
 * Throws SQL_REFUSED.
 */
export function requireReadOnly(sql: string): string {
  const tokens = tokensOf(sql)
  while (tokens.at(-1)?.text === ';') tokens.pop()
  const last = tokens.at(-1)
  if (last === undefined) throw refuse('there is no statement')
  if (tokens.some(({ text }) => text === ';')) throw refuse('only one statement at a time: leave out the semicolon')
  const first = tokens[0]?.text.toLowerCase() as string
  if (!readers.includes(first)) throw refuse(`${first.toUpperCase()} does not read: begin with SELECT or WITH`)
  for (const [i, { text, isName }] of tokens.entries()) {
    const word = text.toLowerCase()
    const next = tokens[i + 1]?.text
    if (isName && next === '(' && forbidden.has(word)) throw refuse(`the function ${text} is not allowed here`)
    if (!isName) continue
    if (word === 'outfile' && tokens[i - 1]?.text.toLowerCase() === 'into') throw refuse('INTO OUTFILE is not allowed')
    if (word === 'settings' && isClause(tokens, i)) throw refuse('SETTINGS is not allowed: limits are the API’s')
    if (word === 'format' && i === tokens.length - 2 && tokens[i + 1]?.isName) {
      throw refuse('leave FORMAT out: the answer is JSON')
    }
  }
  return sql.slice(0, last.end)
}

interface Token {
  readonly text: string
  /** An identifier or keyword, quoted or not. */
  readonly isName: boolean
  /** Offset in the text just after the token. */
  readonly end: number
}

const refuse = (why: string) => new MargayError('SQL_REFUSED', `SQL: ${why}`, { status: 400 })

/** `SETTINGS name = value` as a clause, not a column called settings. */
function isClause(tokens: readonly Token[], i: number): boolean {
  return tokens[i + 1]?.isName === true && tokens[i + 2]?.text === '='
}

/** Words and punctuation of SQL; comments and string literals hold none. Lexical rules of ClickHouse's documentation, "Syntax". */
function tokensOf(sql: string): Token[] {
  const tokens: Token[] = []
  const pattern =
    /(?<space>\s+|--[^\n]*|\/\*[\s\S]*?\*\/|#[ !][^\n]*)|(?<string>'(?:[^'\\]|\\[\s\S]|'')*')|(?<quoted>`(?:[^`\\]|\\[\s\S]|``)*`|"(?:[^"\\]|\\[\s\S]|"")*")|(?<heredoc>\$(?<tag>\w*)\$[\s\S]*?\$\k<tag>\$)|(?<name>[A-Za-z_]\w*)|(?<number>\d[\w.]*)|(?<other>[\s\S])/gy
  for (const match of sql.matchAll(pattern)) {
    const { string, quoted, name, number, other, heredoc } = match.groups as Record<string, string | undefined>
    const end = match.index + match[0].length
    if (other === "'" || other === '"' || other === '`') throw refuse('a quote is not closed')
    if (quoted !== undefined) tokens.push({ text: quoted.slice(1, -1), isName: true, end })
    else if (name !== undefined) tokens.push({ text: name, isName: true, end })
    else if (string !== undefined || heredoc !== undefined) tokens.push({ text: "''", isName: false, end })
    else if (number !== undefined || other !== undefined)
      tokens.push({ text: (number ?? other) as string, isName: false, end })
  }
  return tokens
}
