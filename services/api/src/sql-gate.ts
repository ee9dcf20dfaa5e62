import { MargayError } from '@margay/kit/errors'
import { tokens } from '@margay/kit/sql'

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
  const words = tokensOf(sql)
  while (words.at(-1)?.text === ';') words.pop()
  const last = words.at(-1)
  if (last === undefined) throw refuse('there is no statement')
  if (words.some(({ text }) => text === ';')) throw refuse('only one statement at a time: leave out the semicolon')
  const first = words[0]?.text.toLowerCase() as string
  if (!readers.includes(first)) throw refuse(`${first.toUpperCase()} does not read: begin with SELECT or WITH`)
  for (const [i, { text, isName }] of words.entries()) {
    const word = text.toLowerCase()
    const next = words[i + 1]?.text
    if (isName && next === '(' && forbidden.has(word)) throw refuse(`the function ${text} is not allowed here`)
    if (!isName) continue
    if (word === 'outfile' && words[i - 1]?.text.toLowerCase() === 'into') throw refuse('INTO OUTFILE is not allowed')
    if (word === 'settings' && isClause(words, i)) throw refuse('SETTINGS is not allowed: limits are the API’s')
    if (word === 'format' && i === words.length - 2 && words[i + 1]?.isName) {
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

/** Words and punctuation of SQL. */
function tokensOf(sql: string): Token[] {
  return [...tokens(sql)].map(({ kind, text, end, isClosed }) => {
    if (!isClosed) throw refuse('a quote or a comment is not closed')
    return { text: kind === 'quoted' ? text.slice(1, -1) : text, isName: kind === 'word' || kind === 'quoted', end }
  })
}
