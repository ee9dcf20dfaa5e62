import { describe, expect, it } from 'vitest'
import { requireReadOnly } from '../src/sql-gate.ts'

describe('SQL of people', () => {
  it.each([
    'SELECT count() FROM flows',
    'select 1',
    'WITH x AS (SELECT 1) -- comment; with INSERT\nSELECT * FROM x',
    "SELECT 'DROP TABLE flows; url(''x'')' FROM flows",
    'SELECT `url`, settings, /* ; */ format FROM l7',
    'SELECT url FROM l7 WHERE method IN (1)',
    'SELECT lower(url) FROM l7',
    'SELECT * FROM numbers(10)',
    '# note\nSELECT 1',
  ])('may be %s', (sql) => {
    expect(requireReadOnly(sql)).toBe(sql)
  })

  it('loses a closing semicolon and comment', () => {
    expect(requireReadOnly('SELECT 1 -- one')).toBe('SELECT 1')
    expect(requireReadOnly('SELECT 1 ; ;\n')).toBe('SELECT 1')
  })

  it.each([
    ['INSERT INTO flows SELECT 1', /INSERT does not read/],
    ['DROP TABLE flows', /DROP does not read/],
    ['SYSTEM STOP MERGES', /SYSTEM does not read/],
    ['SET readonly = 0', /SET does not read/],
    ['SELECT 1; DROP TABLE flows', /only one statement/],
    ["SELECT 1 INTO OUTFILE '/tmp/x'", /OUTFILE/],
    ["SELECT * FROM url('http://example.com', CSV)", /function url/],
    ["SELECT * FROM `url`('http://example.com', CSV)", /function url/],
    ["SELECT * FROM URL /* */ ('http://example.com', CSV)", /function URL/],
    ["SELECT file('/etc/passwd')", /function file/],
    ["SELECT * FROM remote('other', default.flows)", /function remote/],
    ["SELECT * FROM s3Cluster('c', 'x')", /function s3Cluster/],
    ['SELECT * FROM merge(currentDatabase(), 1)', /function merge/],
    ['SELECT sleep(3)', /function sleep/],
    ['SELECT 1 SETTINGS max_result_rows = 0', /SETTINGS/],
    ['SELECT 1 FORMAT CSV', /FORMAT/],
    ["SELECT 'not closed", /not closed/],
    ['', /no statement/],
    ['-- nothing', /no statement/],
  ])('may not be %s', (sql, why) => {
    expect(() => requireReadOnly(sql)).toThrow(why)
  })
})
