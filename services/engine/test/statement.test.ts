import { describe, expect, it } from 'vitest'
import { readStatement } from '../src/statement.ts'

function insert(sql: string) {
  const statement = readStatement(sql, null)
  if (statement.kind !== 'insert') throw new Error(`${sql} is ${statement.kind}`)
  return { sql: statement.from('/f').replace(/\s+/g, ' ').trim(), data: statement.data }
}

describe('the outline of a statement', () => {
  it.each([
    ['INSERT INTO t FORMAT CSV', "INSERT INTO t FROM INFILE '/f' COMPRESSION 'none' FORMAT CSV", ''],
    [
      'INSERT INTO t FORMAT CSV\n1,2\n\nDROP',
      "INSERT INTO t FROM INFILE '/f' COMPRESSION 'none' FORMAT CSV",
      '1,2\n\nDROP',
    ],
    [
      'insert into t (a, `format`) values (1)',
      "insert into t (a, `format`) FROM INFILE '/f' COMPRESSION 'none' FORMAT Values",
      '(1)',
    ],
    [
      'INSERT INTO t SETTINGS async_insert=0 FORMAT Native',
      "INSERT INTO t FROM INFILE '/f' COMPRESSION 'none' SETTINGS async_insert=0 FORMAT Native",
      '',
    ],
    [
      '/* x */ INSERT INTO db.t VALUES(1);DROP TABLE t',
      "/* x */ INSERT INTO db.t FROM INFILE '/f' COMPRESSION 'none' FORMAT Values",
      '(1);DROP TABLE t',
    ],
  ])('cuts the data off %j', (sql, expected, data) => {
    expect(insert(sql)).toEqual({ sql: expected, data })
  })

  it.each([
    'INSERT INTO t SELECT 1',
    'INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x',
    "INSERT INTO t FROM INFILE 'f' FORMAT CSV",
  ])('runs %s as it is', (sql) => {
    expect(readStatement(sql, null)).toMatchObject({ kind: 'rows', sql, streams: false })
  })

  it.each([
    ['SELECT 1', null, null, true],
    ['SELECT 1', 'JSONEachRow', 'JSONEachRow', true],
    ['SELECT 1 FORMAT JSON', null, 'JSON', false],
    ['SELECT 1 format CSVWithNames', 'TSV', 'CSVWithNames', false],
    ['SELECT (SELECT 1 AS format) FORMAT CSV SETTINGS max_threads = 1', null, 'CSV', true],
    ["SELECT 'FORMAT JSON'", null, null, true],
    ['SELECT 1 -- FORMAT JSON', null, null, true],
    ['WITH 1 AS x SELECT x', null, null, true],
    ['SHOW TABLES', 'JSONEachRow', 'JSONEachRow', false],
    ['CREATE TABLE t (a Int8) ENGINE = Memory', null, null, false],
    ['SELECT 1;', 'CSV', 'CSV', true],
  ])('reads %j with the default %s', (sql, standard, format, streams) => {
    expect(readStatement(sql, standard)).toMatchObject({ kind: 'rows', format, streams })
  })

  it.each(['SELECT 1; SELECT 2', 'SELECT 1;;DROP TABLE t', "SELECT ';'; DROP TABLE t", '', ' -- nothing\n'])(
    'refuses %j',
    (sql) => {
      expect(readStatement(sql, null)).toMatchObject({ kind: 'refused', code: 62 })
    },
  )

  it.each([
    ["KILL QUERY WHERE query_id = 'SYNC' SYNC", "KILL QUERY WHERE query_id = 'SYNC' ASYNC"],
    ['kill query where 1 sync', 'kill query where 1 ASYNC'],
    ['KILL QUERY WHERE 1', 'KILL QUERY WHERE 1'],
  ])('never waits for a kill: %s', (sql, expected) => {
    expect(readStatement(sql, null)).toMatchObject({ kind: 'rows', sql: expected })
  })
})
