import { tokens } from '@margay/kit/sql'
import type { Classification } from './chdb.ts'

/*
 * The embedded engine has no users, grants or row policies, and its `readonly` setting still lets a statement write files
 * (INTO OUTFILE), stop merges, kill queries and read any file of the machine. So a request that asks for `readonly` passes
 * this gate: the engine's own parser must see one statement that only reads, and every node of its syntax tree must be one
 * that is known to be harmless. What is not known is refused.
 */

/** Kinds of nodes that a reading statement is made of, as EXPLAIN AST prints them. */
const nodes = new Set(
  (
    'SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Identifier Asterisk QualifiedAsterisk ' +
    'Literal Function Subquery WithElement TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier ' +
    'TableJoin ArrayJoin SampleRatio OrderByElement WindowDefinition WindowListElement Set ColumnsTransformerList ' +
    'ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement InterpolateElement ' +
    'ColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsRegexpMatcher QualifiedColumnsListMatcher NameTypePair DataType'
  ).split(' '),
)

/** Table functions that make their rows out of nothing but their arguments. */
const tableFunctions = new Set(
  'numbers numbers_mt zeros zeros_mt generateseries generate_series values view'.split(' '),
)

/**
 * Scalar functions that reach outside the query: files, models, other servers, secrets, waiting.
 * Names are lower case, since many functions of ClickHouse are case-insensitive.
 */
const functions =
  /^(file|ai(generate|embed|classify|extract|translate|summarize|filter|aggregate|similarity).*|catboost.*|evalmlmethod|eval|fuzzquery|joinget.*|sleep|sleepeachrow|getserversetting|getserverport|getmacro|getclienthttpheader|getmergetreesetting|showcertificate|addressto.*|demangle|logtrace|icebergtruncate|serveruuid|filesystem.*|transactionid|.*zookeeper.*|aggthrow)$/

/** Table functions that no future engine shall take in another place than that of a table. */
const neverScalar = /^(executable|url|remote|remotesecure|s3|input|cluster|merge)$/

/** Tables of the system database that show the schema and nothing of the machine. */
const systemTables = new Set('one numbers columns functions data_type_families table_functions'.split(' '))

/** The first word, which must begin a query that reads rows: everything else takes another way through the engine. */
export function gateText(sql: string): string | null {
  const first = tokens(sql).next().value
  const verb = first?.text.toUpperCase()
  if (verb !== 'SELECT' && verb !== 'WITH') return 'a read-only request is one SELECT'
  return null
}

/** The statement without a closing FORMAT clause, which would change the form of the syntax tree. */
export function withoutFormat(sql: string): string {
  return sql.replace(/[\s;]*$/, '').replace(/\sFORMAT\s+\w+$/i, '')
}

/** Judges what the engine's parser says of a statement: null, or why it is refused. */
export function gateClass(classification: Classification): string | null {
  if (classification.statementCount !== 1) return 'a read-only request is one statement that can be parsed'
  if (classification.queryClass !== 0) return 'a read-only request cannot write, set, kill or control anything'
  return null
}

/**
 * Judges a syntax tree as EXPLAIN AST prints it: null, or why the statement is refused.
 * `database` is the only one whose tables may be read; `others` are the names of all further databases.
 */
export function gateTree(tree: string, database: string, others: ReadonlySet<string>): string | null {
  const path: string[] = []
  for (const line of tree.split('\n')) {
    if (line === '') continue
    const match = /^( *)([A-Za-z:]+)(?: (.*))?$/.exec(line)
    if (match === null) return 'the statement has a name with a line break'
    const [, indent = '', kind = '', rest = ''] = match
    if (!nodes.has(kind)) return `the statement uses ${kind}`
    path.length = indent.length
    const parent = path[indent.length - 1]
    path[indent.length] = kind
    const name = rest.replace(/ \((alias .*|children \d+)\)$/, '').replace(/ \(alias .*\)$/, '')
    const reason =
      kind === 'Function'
        ? judgeFunction(name, parent === 'TableExpression')
        : kind === 'TableIdentifier'
          ? judgeTable(name, database)
          : kind === 'Identifier'
            ? judgeIdentifier(name, others)
            : null
    if (reason !== null) return reason
  }
  return null
}

function judgeFunction(name: string, isTable: boolean): string | null {
  const lower = name.toLowerCase()
  if (isTable) return tableFunctions.has(lower) ? null : `the table function ${name} is not allowed`
  return functions.test(lower) || neverScalar.test(lower) ? `the function ${name} is not allowed` : null
}

function judgeTable(name: string, database: string): string | null {
  const dot = name.indexOf('.')
  if (dot === -1 || name.startsWith(`${database}.`)) return null
  if (name.startsWith('system.') && systemTables.has(name.slice('system.'.length))) return null
  return `the table ${name} is outside the database ${database}`
}

/** A bare name may be a table at the right of IN, and a function in the place of a lambda. */
function judgeIdentifier(name: string, others: ReadonlySet<string>): string | null {
  if (functions.test(name.toLowerCase())) return `the name ${name} is that of a function that is not allowed`
  for (const other of others) if (name.startsWith(`${other}.`)) return `the name ${name} is in the database ${other}`
  return null
}
