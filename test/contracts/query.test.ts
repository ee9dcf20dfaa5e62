import {
  definitions,
  eventsSql,
  flow,
  matchQuery,
  migrations,
  parseQuery,
  printQuery,
  type Query,
  querySql,
  rowOf,
} from '@margay/schemas'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventOf } from '../../schemas/test/events/arbitrary.ts'
import { queryOf } from '../../schemas/test/query/arbitrary.ts'
import { type Database, openDatabase } from './database.ts'

let database: Database
beforeAll(async () => {
  database = await openDatabase()
  for (const { statements } of migrations) for (const statement of statements) await database.command(statement)
  await database.command('SYSTEM STOP TTL MERGES') // the events of the test are older than their retention
})
afterAll(() => database.close())

test.each(definitions)('the database and the matcher select the same $dataSet', async (definition) => {
  const events = fc.sample(eventOf(definition), 150)
  await database.insert(
    definition.table,
    events.map((event, index) => ({ ...rowOf(definition, event), log_index: index, ingest_time: 0 })),
  )
  const same = fc.asyncProperty(queryOf(definition), async (query) => {
    const matched = events.flatMap((event, index) => (matchQuery(query, event) ? [index] : []))
    expect(await selected(query), `${printQuery(query)}\n${querySql(query).sql}`).toEqual(matched)
  })
  await fc.assert(same, { numRuns: 150 })
})

test('an address is looked for with the skip index of its column', async () => {
  const { sql, params } = querySql(parseQuery('source_ip = "10.9.9.9" AND end_time >= 1767268800', flow))
  const plan = await database.query<{ explain: string }>(`EXPLAIN indexes = 1 SELECT 1 FROM flows WHERE ${sql}`, params)
  expect(plan.map(({ explain }) => explain.trim())).toEqual(expect.arrayContaining(['Name: source_ip_index']))
})

test('a window of events comes newest first in their JSON form', async () => {
  const [one] = fc.sample(eventOf(flow), 1)
  const at = (end_time: number) => ({ ...one, cluster: 'window', end_time, source_ip: '10.0.0.1', ingest_time: 0 })
  await database.insert('flows', [1000, 2000, 2001, 3000, 4000].map(at))
  const { sql, params } = eventsSql(flow, {
    query: parseQuery('cluster = window', flow),
    from: 2000,
    to: 4000,
    limit: 2,
  })
  const rows = await database.query<Record<string, unknown>>(sql, params)
  expect(rows.map((row) => [row.end_time, row.source_ip])).toEqual([
    ['1970-01-01T00:00:03.000Z', '10.0.0.1'],
    ['1970-01-01T00:00:02.001Z', '10.0.0.1'],
  ])
})

test('text of any kind reaches the table; half a character is kept as its escape', async () => {
  const [one] = fc.sample(eventOf(flow), 1)
  const texts = [
    ...fc.sample(fc.string({ unit: 'binary' }), 200),
    'a\u0000b',
    'line\n\nDROP TABLE flows',
    '\ud800 half',
  ]
  await database.insert(
    'flows',
    texts.map((dest_name) => ({ ...one, cluster: 'text', dest_name, ingest_time: 0 })),
  )
  const { sql, params } = eventsSql(flow, { query: parseQuery('cluster = text', flow) })
  const rows = await database.query<{ dest_name: string }>(sql, params)
  expect(rows.map(({ dest_name }) => dest_name).sort()).toEqual(
    texts.map((text) => text.replace(/^\ud800 half$/, '\\ud800 half')).sort(),
  )
})

async function selected(query: Query): Promise<number[]> {
  const { sql, params } = querySql(query)
  const rows = await database.query<{ log_index: number }>(
    `SELECT log_index FROM ${query.definition.table} WHERE ${sql} ORDER BY log_index`,
    params,
  )
  return rows.map((row) => Number(row.log_index))
}
