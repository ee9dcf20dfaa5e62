import { createTableSql, definitions, eventOfRow, migrations, rowOf, selectList, validateEvent } from '@margay/schemas'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventOf } from '../../schemas/test/events/arbitrary.ts'
import { type Database, openDatabase } from './database.ts'

let database: Database
beforeAll(async () => {
  database = await openDatabase()
  for (const { statements } of migrations) for (const statement of statements) await database.command(statement)
  await database.command('SYSTEM STOP TTL MERGES') // the events of the test are older than their retention
})
afterAll(() => database.close())

describe.each(definitions)('$kind events', (definition) => {
  test('lie in the table that their definition describes', async () => {
    const columns = (table: string) =>
      database.query(
        `SELECT name, type, default_kind, default_expression, compression_codec FROM system.columns
         WHERE database = currentDatabase() AND table = {table:String} ORDER BY name`,
        { table },
      )
    const shape = (table: string) =>
      database.query(
        `SELECT sorting_key, partition_key, replaceOne(engine_full, {name:String}, '') AS engine FROM system.tables
         WHERE database = currentDatabase() AND name = {table:String}`,
        { table, name: '-' },
      )
    await database.command(createTableSql({ ...definition, table: 'fresh' }))
    expect(await columns(definition.table)).toEqual(await columns('fresh'))
    expect(await shape(definition.table)).toEqual(await shape('fresh'))
    await database.command('DROP TABLE fresh SYNC')
  })

  test('come back from the database as they went in', async () => {
    const events = fc.sample(eventOf(definition), { numRuns: 200, seed: 7 })
    expect(events.map((event) => validateEvent(definition, event)).filter((reason) => reason !== null)).toEqual([])
    await database.command(`TRUNCATE TABLE ${definition.table}`)
    await database.insert(
      definition.table,
      events.map((event, index) => ({ ...rowOf(definition, event), log_index: index, ingest_time: 1_767_268_800_000 })),
    )
    const rows = await database.query<Record<string, unknown>>(
      `SELECT ${selectList(definition, 'milliseconds')} FROM (SELECT * FROM ${definition.table} ORDER BY log_index)`,
    )
    const read = rows.map((row) => normal(eventOfRow(definition, row)))
    expect(read).toEqual(events.map((event) => normal(eventOfRow(definition, roughRow(event)))))

    function roughRow(event: object): Record<string, unknown> {
      const row: Record<string, unknown> = {}
      for (const [name, value] of Object.entries(rowOf(definition, event)))
        row[name] = definition.columns[name]?.query === 'json' ? JSON.stringify(value) : value
      return row
    }
  })
})

/** Absent and default are the same thing to a table. */
function normal(event: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(event)
      .filter(([, value]) => value !== false && value !== 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}
