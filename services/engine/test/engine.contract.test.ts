import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createTableSql, definitions, selectList } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { gateTree } from '../src/gate.ts'

let engine: TestEngine

async function ask(sql: string, query: Record<string, string> = {}, signal?: AbortSignal) {
  const response = await fetch(`${engine.config.url}/?${new URLSearchParams({ database: 'm', ...query })}`, {
    method: 'POST',
    body: sql,
    headers: { authorization: `Basic ${Buffer.from(`default:${engine.password}`).toString('base64')}` },
    ...(signal === undefined ? {} : { signal }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

async function done(sql: string, query: Record<string, string> = {}): Promise<string> {
  const answer = await ask(sql, query)
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.text.trimEnd()
}

beforeAll(async () => {
  engine = await startEngine()
  await done('CREATE DATABASE m ENGINE = Atomic', { database: '' })
  await done('CREATE DATABASE other ENGINE = Atomic', { database: '' })
  await done('CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a')
  await done('CREATE TABLE other.secret (a UInt64) ENGINE = MergeTree ORDER BY a')
  await done("INSERT INTO t VALUES (1, '/etc/passwd'), (2, 'x')")
})

afterAll(() => engine?.stop())

describe('a read-only request', () => {
  it.each([
    'SELECT a, b FROM t ORDER BY a',
    "SELECT count() FROM m.t WHERE a IN (SELECT a FROM t) AND b NOT IN ('y') FORMAT JSONEachRow",
    'WITH x AS (SELECT a FROM t), 5 AS five SELECT x.a, five, arrayMap(n -> n + 1, [1, 2]) FROM x JOIN t ON t.a = x.a',
    'SELECT a, sum(a) OVER (PARTITION BY b ORDER BY a) AS s, CASE WHEN a > 1 THEN 1 ELSE 2 END FROM t WINDOW w AS (ORDER BY a) LIMIT 1 BY a',
    'SELECT number FROM numbers(3) UNION ALL SELECT 1',
    "SELECT * EXCEPT (b) REPLACE (a + 1 AS a), COLUMNS('a') FROM t ARRAY JOIN [1, 2] AS z",
    'SELECT toStartOfMinute(now64(3)), interval 1 day, [1][1], (1, 2).1, a::String, quantile(0.9)(a), count(DISTINCT b) FROM t GROUP BY ALL WITH TOTALS ORDER BY ALL',
    'SELECT name FROM system.columns WHERE database = currentDatabase()',
    "SELECT format('{}', b) FROM t -- a comment",
  ])('may run %s', async (sql) => {
    await done(sql, { readonly: '1' })
  })

  it.each(definitions.map((definition) => [definition.dataSet, definition] as const))(
    'may read the events of %s in their JSON form',
    async (_name, definition) => {
      await done(createTableSql(definition))
      await done(`SELECT ${selectList(definition)} FROM (SELECT * FROM ${definition.table} LIMIT 5)\nFORMAT JSON`, {
        readonly: '1',
      })
    },
  )

  it('may have parameters', async () => {
    const answer = await done('SELECT a FROM {t:Identifier} WHERE b = {b:String}', {
      readonly: '1',
      param_t: 't',
      param_b: 'x',
    })
    expect(answer).toBe('2')
  })

  const out = join(tmpdir(), `margay-out-${process.pid}`)
  it.each([
    `SELECT 1 INTO OUTFILE '${out}'`,
    `(SELECT 1) INTO OUTFILE '${out}'`,
    `EXPLAIN AST SELECT 1 INTO OUTFILE '${out}'`,
    `SHOW TABLES INTO OUTFILE '${out}'`,
    `SELECT 1; SELECT 2 INTO OUTFILE '${out}'`,
    'SELECT 1; DROP TABLE t',
    'SELECT 1;\n\nDROP TABLE t',
    'SELECT 1 /* ; */ ; -- \n DROP TABLE t',
    'DROP TABLE t',
    "INSERT INTO t SELECT 9, 'x'",
    'INSERT INTO t FORMAT CSV\n9,"x"',
    'SYSTEM STOP MERGES',
    'SYSTEM SHUTDOWN',
    'KILL QUERY WHERE 1',
    'SET readonly = 0',
    'SELECT 1 SETTINGS readonly = 0',
    'SELECT 1 SETTINGS max_memory_usage = 123456789',
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
    "SELECT * FROM s3('http://127.0.0.1:9/b/k', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1:9', system.one)",
    "SELECT * FROM executable('id', TSV, 'a String')",
    "SELECT * FROM merge('m', '.*')",
    "SELECT * FROM numbers(1) WHERE 1 IN (SELECT 1 FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM view(SELECT * FROM file('/etc/passwd', 'LineAsString'))",
    'SELECT * FROM default.`/etc/passwd`',
    'SELECT 1 IN default.`/etc/passwd`',
    "SELECT file('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    'SELECT `file`(b) FROM t',
    "SELECT arrayMap(file, ['/etc/passwd'])",
    'SELECT * APPLY (file) FROM (SELECT b FROM t WHERE a = 1)',
    "SELECT COLUMNS('b') APPLY file FROM t",
    'SELECT * EXCEPT (a) REPLACE (file(b) AS b) FROM t',
    "WITH (SELECT file('/etc/passwd')) AS x SELECT x",
    'SELECT * FROM other.secret',
    'SELECT 1 IN other.secret',
    'SELECT * FROM t JOIN other.secret s ON s.a = t.a',
    'SELECT query FROM system.processes',
    'SELECT * FROM information_schema.tables',
    'SELECT * FROM (EXPLAIN SELECT 1)',
    'SELECT sleep(3)',
    "SELECT getServerPort('tcp_port')",
    'SELECT 1 AS "a\nb"',
    'SELECT * FROM t FORMAT CSV SETTINGS max_threads = 1',
    'SELECT * FROM m.`t` FORMAT Null SETTINGS output_format_json_quote_64bit_integers = 1',
  ])('may not run %s', async (sql) => {
    const answer = await ask(sql, { readonly: '1' })
    expect([answer.status, answer.text]).not.toEqual([200, expect.anything()])
    expect(answer.text).not.toContain('root:')
    expect(existsSync(out)).toBe(false)
    expect(await done('SELECT count() FROM t')).toBe('2')
  })

  it('may not name another database in a parameter, nor read one that shows files', async () => {
    const named = await ask('SELECT * FROM {d:Identifier}.{t:Identifier}', {
      readonly: '1',
      param_d: 'default',
      param_t: '/etc/passwd',
    })
    const used = await ask('SELECT * FROM `/etc/passwd`', { readonly: '1', database: 'default' })
    const none = await ask('SELECT 1', { readonly: '2', database: 'system' })
    for (const answer of [named, used, none]) expect(answer.status).not.toBe(200)
  })
})

describe('the functions of this engine', () => {
  /** Names that sound as if they reached outside; looked at one by one, these work on their arguments alone. */
  const harmless = new Set(
    (
      'aes_decrypt_mysql aes_encrypt_mysql base64urldecode base64urlencode currentprofiles ' +
      'cuturlparameter decodeurlcomponent decodeurlformcomponent defaultprofiles enabledprofiles ' +
      'encodeurlcomponent encodeurlformcomponent extracturlparameter extracturlparameternames ' +
      'extracturlparameters fullhostname hostname kafkamurmurhash servertimezone singlevalueornull ' +
      'truncate trybase64urldecode tupletonamevaluepairs urlhash urlhierarchy urlpathhierarchy'
    ).split(' '),
  )

  it('hold none that reaches outside and is not behind the gate', async () => {
    const sound =
      'file|url|http|exec|remote|llm|^ai|server|macro|host|sleep|introspect|certificate|eval|s3|kafka|redis|mongo|sql|jdbc|odbc|model|shell|system|process|environ|getenv|zookeeper|keeper|truncate|write'
    const found = await done(
      'SELECT DISTINCT lower(name) FROM system.functions WHERE match(lower(name), {s:String}) ORDER BY 1',
      {
        param_s: sound,
      },
    )
    const open = found
      .split('\n')
      .filter((name) => gateTree(`SelectWithUnionQuery\n Function ${name}`, 'm', new Set()) === null)
    expect(open.filter((name) => !harmless.has(name))).toEqual([])
  })
})

describe('the engine as a process', () => {
  it('turns requests away that do not know the password', async () => {
    const response = await fetch(`${engine.config.url}/?query=SELECT%201`)
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([403, '516'])
    expect(await (await fetch(`${engine.config.url}/ping`)).text()).toBe('Ok.\n')
  })

  it('runs no two statements under one id', async () => {
    const leave = new AbortController()
    const slow = ask('SELECT sleepEachRow(0.1) FROM numbers(30)', { query_id: 'same' }, leave.signal).catch(
      () => 'left',
    )
    await setTimeout(150)
    expect((await ask('SELECT 1', { query_id: 'same' })).text).toContain('Code: 216')
    leave.abort()
    expect(await slow).toBe('left')
  })

  it('lets a kill that wants to wait return', async () => {
    await done("KILL QUERY WHERE query LIKE '%nothing like this%' SYNC")
  })

  it('answers many more requests than it runs at a time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => done('SELECT {i:UInt8}', { param_i: String(i) })),
    )
    expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
  })

  it('leaves no data of inserts behind', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => done(`INSERT INTO t FORMAT CSV\n${i + 100},"y"\n`)))
    await ask('INSERT INTO t FORMAT CSV\n"bad"\n')
    expect(readdirSync(join(engine.home, 'clickhouse', 'spool'))).toEqual([])
  })

  it('ends cleanly with statements under way, and has every insert that it acknowledged', async () => {
    const busy = [1, 2, 3].map(() => ask('SELECT sleepEachRow(0.5) FROM numbers(100)').catch(() => 'cut'))
    let acknowledged = 0
    const inserts = Array.from({ length: 30 }, (_, i) =>
      done(`INSERT INTO t FORMAT CSV\n${i + 1000},"z"\n`).then(
        () => (acknowledged += 1),
        () => 0,
      ),
    )
    await setTimeout(60)
    const started = performance.now()
    const gone = new Promise<void>((resolve) => {
      const look = () => (existsSync(`/proc/${engine.pid}`) ? void setTimeout(20).then(look) : resolve())
      look()
    })
    process.kill(engine.pid, 'SIGTERM')
    await gone
    expect(performance.now() - started).toBeLessThan(3000)
    await Promise.all([...busy, ...inserts])
    await engine.start()
    expect(Number(await done("SELECT count() FROM t WHERE b = 'z'"))).toBeGreaterThanOrEqual(acknowledged)
  })

  it('runs alone: finds threads, port and password by itself, tells where it is, and refuses a folder in use', async () => {
    const home = mkdtempSync(join(tmpdir(), 'margay-alone-'))
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
    const begin = (dir: string): ChildProcess => {
      const env = {
        ...process.env,
        MARGAY_HOME: dir,
        MARGAY_ENGINE__DIR: join(home, 'data'),
        MARGAY_REPORT__LEVEL: 'error',
      }
      delete (env as Record<string, string>).UV_THREADPOOL_SIZE
      return fork(main, [], {
        execArgv: ['--import', 'tsx', '--conditions=source'],
        env,
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      })
    }
    const first = begin(home)
    await once(first, 'message')
    const told = JSON.parse(readFileSync(join(home, 'run', 'engine.json'), 'utf8'))
    const answer = await fetch(`${told.url}/?query=SELECT%201`, {
      method: 'POST',
      headers: { 'x-clickhouse-key': told.password },
    })
    expect(await answer.text()).toBe('1\n')
    const second = begin(join(home, 'second'))
    let said = ''
    second.stdout?.on('data', (chunk) => (said += chunk))
    const [code] = await once(second, 'exit')
    expect(code).toBe(1)
    expect(said).toContain('is open in process')
    const ended = once(first, 'exit')
    first.disconnect()
    expect((await ended)[0]).toBe(0)
    expect(existsSync(join(home, 'run', 'engine.json'))).toBe(false)
    rmSync(home, { recursive: true, force: true })
  })
})
