import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createClient } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine, type TestEngine } from '../../../../test/harness/engine.ts'
import { type ClickHouse, createClickHouse } from '../../src/clickhouse.ts'
import { type Config, loadConfig } from '../../src/config.ts'
import { createReporter } from '../../src/reporter.ts'

const server = process.env.MARGAY_TEST_CLICKHOUSE_URL

function connect(url: string, passwordFile: string, database: string, more: Record<string, string> = {}): ClickHouse {
  const config: Config = loadConfig({
    MARGAY_CLICKHOUSE__URL: url,
    MARGAY_CLICKHOUSE__PASSWORD_FILE: passwordFile,
    MARGAY_CLICKHOUSE__DATABASE: database,
    ...more,
  })
  return createClickHouse(config, { reporter: createReporter('test', { level: 'silent' }) })
}

async function failure(promise: Promise<unknown>) {
  return promise.then(
    () => null,
    (error: { code: string; details: { clickhouseCode?: number; data?: boolean }; message: string; name: string }) =>
      error,
  )
}

interface Place {
  readonly url: string
  readonly passwordFile: string
  stop(): Promise<void>
}

async function startServerPlace(url: string): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'margay-clickhouse-'))
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, process.env.MARGAY_TEST_CLICKHOUSE_PASSWORD ?? '')
  return { url, passwordFile, stop: async () => rmSync(dir, { recursive: true }) }
}

async function startEnginePlace(): Promise<Place> {
  const engine = await startEngine()
  return { url: engine.config.url, passwordFile: engine.config.passwordFile as string, stop: engine.stop }
}

const places: [string, () => Promise<Place>][] = [['the embedded engine', startEnginePlace]]
if (server !== undefined) places.push(['a server', () => startServerPlace(server)])
else console.log('no real ClickHouse server is tested: MARGAY_TEST_CLICKHOUSE_URL is not set')

describe.each(places)('ClickHouse over %s', (_name, startPlace) => {
  const database = `test_${process.pid}_${Date.now()}`
  let place: Place
  let clickhouse: ClickHouse

  beforeAll(async () => {
    place = await startPlace()
    clickhouse = connect(place.url, place.passwordFile, database)
    await clickhouse.start?.()
    await clickhouse.command(
      'CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000',
    )
  })

  afterAll(async () => {
    await clickhouse?.command(`DROP DATABASE ${database} SYNC`)
    await clickhouse?.stop?.()
    await place?.stop()
  })

  const rows = (lines: object[]) => Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n'))
  const count = async (where = '1') =>
    Number((await clickhouse.query<{ n: number }>(`SELECT count() AS n FROM t WHERE ${where}`))[0]?.n)

  it('makes an atomic database at the start', async () => {
    expect(
      await clickhouse.query('SELECT engine FROM system.databases WHERE name = {d:String}', {
        params: { d: database },
      }),
    ).toEqual([{ engine: 'Atomic' }])
  })

  it('binds parameters of every kind without making them SQL', async () => {
    const params = {
      s: "it's\n\t\\ \u0000 {x:String} '; DROP TABLE t; --",
      n: 7,
      l: ['a', "b'c"],
      d: new Date(0),
      e: null,
    }
    const [row] = await clickhouse.query(
      'SELECT {s:String} AS s, {n:UInt64} AS n, {l:Array(String)} AS l, toUnixTimestamp({d:DateTime}) AS d, {e:Nullable(String)} AS e',
      { params },
    )
    expect(row).toEqual({ s: params.s, n: 7, l: params.l, d: 0, e: null })
  })

  it('keeps parameters of statements that run at the same time apart', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, x) =>
        clickhouse.query<{ x: number }>('SELECT {x:UInt32} AS x', { params: { x } }),
      ),
    )
    expect(answers.map(([row]) => row?.x)).toEqual(Array.from({ length: 60 }, (_, x) => x))
  })

  it('lets no setting of one statement reach the next', async () => {
    await clickhouse.query('SELECT 1', { settings: { max_threads: 1, readonly: '1', max_execution_time: 1 } })
    const [row] = await clickhouse.query<{ r: string; t: string }>(
      "SELECT toString(getSetting('readonly')) AS r, toString(getSetting('max_execution_time')) AS t",
    )
    expect(row).toEqual({ r: '0', t: '0' })
  })

  it('stores three inserts of the same rows three times when only the first has a token', async () => {
    for (const token of ['only', undefined, undefined]) {
      await clickhouse.insert({
        table: 't',
        format: 'JSONEachRow',
        body: rows([{ a: 1, b: `${token}` }]),
        ...(token ? { token } : {}),
      })
      // Without a token identical blocks are the same block to ClickHouse, so each differs.
      await clickhouse.insert({ table: 't', format: 'JSONEachRow', body: rows([{ a: 1, b: `${Math.random()}` }]) })
    }
    expect(await count('a = 1')).toBe(5)
  })

  it('stores a batch once, however often it is sent with its token', async () => {
    const body = rows(Array.from({ length: 5000 }, (_, i) => ({ a: 2, b: `${i}` })))
    for (let i = 0; i < 3; i += 1)
      await clickhouse.insert({ table: 't', format: 'JSONEachRow', body, token: 't/0/0-9' })
    expect(await count('a = 2')).toBe(5000)
    await clickhouse.insert({ table: 't', format: 'JSONEachRow', body, token: 't/0/10-19' })
    expect(await count('a = 2')).toBe(10_000)
  })

  it.each([
    ['CSV', '3,"x"\n\nDROP TABLE t;\n'],
    ['TabSeparated', '3\tx\n\nDROP TABLE t;\n'],
    ['JSONEachRow', '{"a":3,"b":"x"}\n\nDROP TABLE t;\n'],
    ['JSONEachRow', '\n\n; DROP TABLE t;\n'],
  ])('takes nothing in a body of %s for a statement', async (format, body) => {
    expect((await failure(clickhouse.insert({ table: 't', format, body: Buffer.from(body) })))?.code).toBe(
      'CLICKHOUSE_REFUSED',
    )
    expect(await count('a = 3')).toBe(0)
  })

  it('stores empty lines inside values as they are', async () => {
    await clickhouse.insert({ table: 't', format: 'CSV', body: Buffer.from('4,"one\n\nDROP TABLE t;"\n4,"two"\n') })
    await clickhouse.command("INSERT INTO t VALUES (4, 'three\n\nDROP TABLE t;'), (4, 'four; \\' --')")
    const found = await clickhouse.query<{ b: string }>('SELECT b FROM t WHERE a = 4 ORDER BY b')
    expect(found.map((row) => row.b)).toEqual(["four; ' --", 'one\n\nDROP TABLE t;', 'three\n\nDROP TABLE t;', 'two'])
  })

  it('stores binary formats byte for byte, line feeds included', async () => {
    const body = Buffer.alloc(2 * 9)
    for (const at of [0, 9]) {
      body.writeBigUInt64LE(0x0a0a0a0a0a0a0a0an, at)
      body.writeUInt8(0, at + 8)
    }
    await clickhouse.insert({ table: 't', columns: ['a', 'b'], format: 'RowBinary', body })
    expect(await count('a = 723401728380766730')).toBe(2)
  })

  it('stores nothing of a batch that has one bad row, and says that the data are at fault', async () => {
    const body = Buffer.from(`${rows(Array.from({ length: 3000 }, (_, i) => ({ a: 5, b: `${i}` })))}\n{"a":"five"}`)
    const error = await failure(clickhouse.insert({ table: 't', format: 'JSONEachRow', body }))
    expect(error).toMatchObject({ code: 'CLICKHOUSE_REFUSED', details: { data: true } })
    expect(await count('a = 5')).toBe(0)
  })

  it.each([
    ['SELECT nope', 47],
    ['SELECT 1 FROM nowhere', 60],
    ['SELECT ((1)', 62],
    ['SELECT sleep(3) SETTINGS max_execution_time = 1, function_sleep_max_microseconds_per_block = 9000000', 159],
    ['SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000', 241],
    ['SELECT {missing:String}', 456],
  ])('tells what ClickHouse says of %s', async (sql, code) => {
    const error = await failure(clickhouse.query(sql))
    expect(error?.details.clickhouseCode).toBe(code)
  })

  it('gives the first row of a long answer long before the last', async () => {
    const started = performance.now()
    const answer = await clickhouse.client.query({
      query: 'SELECT number, sipHash64(number) AS h FROM numbers(3000000)',
      format: 'JSONEachRow',
    })
    let first = 0
    let seen = 0
    for await (const chunk of answer.stream()) {
      first ||= performance.now() - started
      seen += chunk.length
    }
    const whole = performance.now() - started
    expect(seen).toBe(3_000_000)
    expect(first).toBeLessThan(whole / 3)
  })

  it('tells of a failure after the first rows instead of ending the answer quietly', async () => {
    const sql = 'SELECT number, throwIf(number = 2500000) FROM numbers(3000000)'
    expect(await failure(clickhouse.query(sql))).toMatchObject({ details: { clickhouseCode: 395 } })
  })

  it('kills a statement when its caller leaves', async () => {
    const marker = `marker_${Math.random()}`
    const sql = `SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1 AND '${marker}' != ''`
    const busy = () =>
      clickhouse.query<{ n: number }>(
        "SELECT count() AS n FROM system.processes WHERE query LIKE {m:String} AND query NOT LIKE '%processes%'",
        { params: { m: `%${marker}%` } },
      )
    const caller = new AbortController()
    const lost = failure(clickhouse.query(sql, { signal: caller.signal, settings: { max_threads: 1 } }))
    await expect.poll(async () => (await busy())[0]?.n, { timeout: 5000 }).toBe(1)
    caller.abort()
    expect((await lost)?.name).toBe('AbortError')
    await expect.poll(async () => (await busy())[0]?.n, { timeout: 5000 }).toBe(0)
  })

  it('answers others while a slow statement runs', async () => {
    const caller = new AbortController()
    const slow = failure(clickhouse.query('SELECT sleepEachRow(0.1) FROM numbers(40)', { signal: caller.signal }))
    await setTimeout(100)
    const started = performance.now()
    await clickhouse.query('SELECT 1')
    expect(performance.now() - started).toBeLessThan(1500)
    caller.abort()
    await slow
  })

  it('reads gzipped requests and writes gzipped answers', async () => {
    const client = createClient({
      url: place.url,
      username: 'default',
      password: readFileSync(place.passwordFile, 'utf8'),
      database,
      compression: { request: true, response: true },
    })
    await client.insert({
      table: 't',
      format: 'JSONEachRow',
      values: Array.from({ length: 1000 }, () => ({ a: 6, b: 'z' })),
    })
    const answer = await client.query({ query: 'SELECT b FROM t WHERE a = 6', format: 'JSONEachRow' })
    expect(answer.response_headers['content-encoding']).toBe('gzip')
    expect(await answer.json()).toHaveLength(1000)
    await client.close()
  })

  it('is refused with a wrong password', async () => {
    const wrong = join(mkdtempSync(join(tmpdir(), 'margay-password-')), 'wrong')
    writeFileSync(wrong, 'wrong')
    const stranger = connect(place.url, wrong, database)
    expect(await failure(stranger.query('SELECT 1'))).toMatchObject({
      code: 'CLICKHOUSE_REFUSED',
      details: { clickhouseCode: 516 },
    })
    expect(await stranger.ping()).toBe(false)
    await stranger.stop?.()
    rmSync(join(wrong, '..'), { recursive: true })
  })

  it('says that ClickHouse is unavailable when nothing listens', async () => {
    const nobody = connect('http://127.0.0.1:9', place.passwordFile, database, {
      MARGAY_CLICKHOUSE__REQUEST_TIMEOUT: '500ms',
    })
    expect((await failure(nobody.query('SELECT 1')))?.code).toBe('CLICKHOUSE_UNAVAILABLE')
    expect(nobody.health?.()).toMatchObject({ state: 'degraded' })
    expect((await failure(nobody.start?.() ?? Promise.resolve()))?.code).toBe('CLICKHOUSE_UNAVAILABLE')
    await nobody.stop?.()
  })
})

describe('the embedded engine when it is killed', () => {
  let engine: TestEngine

  beforeAll(async () => {
    engine = await startEngine()
  })

  afterAll(() => engine?.stop())

  it('has lost and doubled nothing after ten kills amid inserts that are tried again', async () => {
    const clickhouse = connect(engine.config.url, engine.config.passwordFile as string, 'durable')
    await clickhouse.start?.()
    const dedup = 'SETTINGS non_replicated_deduplication_window = 10000'
    await clickhouse.command(`CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a ${dedup}`)
    await clickhouse.command(`CREATE TABLE s (a UInt64, n UInt64) ENGINE = SummingMergeTree ORDER BY a ${dedup}`)
    await clickhouse.command('CREATE MATERIALIZED VIEW v TO s AS SELECT a, count() AS n FROM t GROUP BY a')
    let batches = 0
    let killed = 0
    let done = false
    const writer = async () => {
      while (!done) {
        const batch = batches
        batches += 1
        const body = Buffer.from(Array.from({ length: 500 }, (_, i) => `{"a":${batch},"b":"${i}"}`).join('\n'))
        for (;;) {
          try {
            await clickhouse.insert({ table: 't', format: 'JSONEachRow', body, token: `b${batch}` })
            break
          } catch (error) {
            expect((error as { code: string }).code).toBe('CLICKHOUSE_UNAVAILABLE')
            await setTimeout(30)
          }
        }
      }
    }
    const writers = [writer(), writer(), writer()]
    for (; killed < 10; killed += 1) {
      await setTimeout(150 + Math.random() * 250)
      await engine.kill()
      await engine.start()
    }
    await setTimeout(200)
    done = true
    await Promise.all(writers)
    const wrong = await clickhouse.query(
      'SELECT a, count() AS n FROM t GROUP BY a HAVING n != 500 OR uniqExact(b) != 500',
    )
    const inView = await clickhouse.query('SELECT a, sum(n) AS total FROM s GROUP BY a HAVING total != 500')
    const [total] = await clickhouse.query<{ n: number }>('SELECT count() AS n FROM t')
    expect({ wrong, inView, total: total?.n }).toEqual({ wrong: [], inView: [], total: batches * 500 })
    expect(batches).toBeGreaterThan(20)
    await clickhouse.stop?.()
  })
})
