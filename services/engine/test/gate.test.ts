import { describe, expect, it } from 'vitest'
import { gateClass, gateText, gateTree, withoutFormat } from '../src/gate.ts'

const others = new Set(['default', 'system', 'information_schema'])
const select = (...lines: string[]) =>
  ['SelectWithUnionQuery (children 1)', ' SelectQuery (children 2)', ...lines].join('\n')

describe('the gate of read-only requests', () => {
  it.each([
    'INSERT INTO t SELECT 1',
    'explain ast select 1',
    'SYSTEM STOP MERGES',
    '(select 1)',
    '/* SELECT */ KILL QUERY WHERE 1',
    '',
  ])('does not begin with %j', (sql) => {
    expect(gateText(sql)).not.toBeNull()
  })

  it('lets a SELECT begin', () => {
    expect([gateText('select 1'), gateText('-- x\nWITH 1 AS a SELECT a')]).toEqual([null, null])
  })

  it('wants one statement of the reading class', () => {
    expect(gateClass({ statementCount: 1, queryClass: 0 })).toBeNull()
    for (const bad of [
      { statementCount: 0, queryClass: -1 },
      { statementCount: 2, queryClass: 0 },
      { statementCount: 1, queryClass: 1 },
      { statementCount: 1, queryClass: 3 },
    ])
      expect(gateClass(bad)).not.toBeNull()
  })

  it.each([
    ['a table of the database', ['  TableExpression (children 1)', '   TableIdentifier margay.flows (alias f)']],
    ['a bare table', ['  TableExpression (children 1)', '   TableIdentifier flows']],
    ['a column of a table', ['  Identifier flows.bytes_in (alias b)']],
    ['numbers()', ['  TableExpression (children 1)', '   Function numbers (children 1)']],
    ['columns of the schema', ['  TableExpression (children 1)', '   TableIdentifier system.columns']],
  ])('lets %s pass', (_what, lines) => {
    expect(gateTree(select(...lines), 'margay', others)).toBeNull()
  })

  it.each([
    ['a table of another database', ['  TableExpression (children 1)', '   TableIdentifier default./etc/passwd']],
    [
      'a table whose alias looks right',
      ['  TableExpression (children 1)', '   TableIdentifier default.x (alias margay.x)'],
    ],
    ['a table function', ['  TableExpression (children 1)', '   Function file (children 1)']],
    ['an unknown table function', ['  TableExpression (children 1)', '   Function brandNew (children 1)']],
    ['a function that reads files', ['  Function FILE (children 1)']],
    ['a function that reads files, by name', ['  Function arrayMap (children 1)', '   Identifier file']],
    ['a table at the right of IN', ['  Function in (children 2)', '   Identifier default./etc/passwd']],
    ['a function hidden in APPLY', ['  Asterisk (children 1)', '   ColumnsApplyTransformer']],
    ['a processes table', ['  TableExpression (children 1)', '   TableIdentifier system.processes']],
    ['an explain inside', ['  TableExpression (children 1)', '   Function viewExplain (children 1)']],
    ['a name with a line break', ['  Identifier a', 'b\u0000 c']],
    ['an unknown node', ['  Surprise']],
  ])('stops %s', (_what, lines) => {
    expect(gateTree(select(...lines), 'margay', others)).not.toBeNull()
  })

  it('looks at the tree without the closing format', () => {
    expect(withoutFormat('SELECT 1\nFORMAT JSONEachRow')).toBe('SELECT 1')
    expect(withoutFormat('SELECT 1 format CSV ; ')).toBe('SELECT 1')
    expect(withoutFormat('SELECT 1 FORMAT CSV SETTINGS x = 1')).toBe('SELECT 1 FORMAT CSV SETTINGS x = 1')
  })
})
