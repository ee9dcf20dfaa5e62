import { readdirSync, readFileSync } from 'node:fs'
import {
  createTableSql,
  definitions,
  flow,
  keyword,
  type Migration,
  migrations,
  statementsOf,
  statementsTo,
} from '@margay/schemas'
import { expect, test } from 'vitest'

const folder = new URL('../../clickhouse/', import.meta.url)

test('the migrations make every table and column of the definitions', () => {
  const statements = migrations.flatMap((migration) => migration.statements)
  expect(statementsTo(definitions, statements), 'run npx tsx schemas/clickhouse/generate.ts').toEqual([])
})

test('the module and the numbered files say the same', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.sql'))
  const read = files.sort().map((file): Migration => {
    const [, version, name] = /^(\d{4})-(.+)\.sql$/.exec(file) ?? []
    return {
      version: Number(version),
      name: String(name),
      statements: statementsOf(readFileSync(new URL(file, folder), 'utf8')),
    }
  })
  expect(migrations).toEqual(read)
  expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1))
})

test('a new column becomes a statement that adds it', () => {
  const wider = { ...flow, columns: { ...flow.columns, colour: keyword('colour', { aliases: ['hue'] }) } }
  expect(statementsTo([wider], [createTableSql(flow)])).toEqual([
    'ALTER TABLE `flows` ADD COLUMN IF NOT EXISTS `colour` LowCardinality(String)',
    'ALTER TABLE `flows` ADD COLUMN IF NOT EXISTS `hue` LowCardinality(String) ALIAS `colour`',
  ])
  expect(statementsTo([wider], [createTableSql(flow), ...statementsTo([wider], [createTableSql(flow)])])).toEqual([])
})

test('a column that changes its type needs a person', () => {
  const changed = { ...flow, columns: { ...flow.columns, proto: { ...flow.columns.proto, clickhouse: 'UInt8' } } }
  expect(() => statementsTo([changed], [createTableSql(flow)])).toThrow(/^flows.proto is LowCardinality\(String\) in/)
})

test('the table of another database is named in full, and no name can break out of its quotes', () => {
  expect(createTableSql(flow, { database: 'east' })).toContain('CREATE TABLE IF NOT EXISTS `east`.`flows` (')
  expect(() => createTableSql(flow, { database: 'a`; DROP' })).toThrow(/not an identifier/)
})
