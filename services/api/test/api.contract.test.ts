import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodeBlocks } from '@margay/kit/blocks'
import { type ClickHouse, createClickHouse } from '@margay/kit/clickhouse'
import { type Config, loadConfig } from '@margay/kit/config'
import type { EventLog } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { allTopics } from '@margay/kit/topics'
import {
  type AuditEvent,
  audit,
  type EventDefinition,
  type FlowEvent,
  flow,
  insertSettings,
  migrations,
  type ReportEvent,
  report,
  rowOf,
} from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApi, type TestApi } from '../../../test/harness/api.ts'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { freePort } from '../../../test/harness/port.ts'

let home: string
let engine: TestEngine
let config: Config
let log: EventLog
let clickhouse: ClickHouse
let api: TestApi

const base = Date.now() - 60_000

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'margay-api-'))
  engine = await startEngine()
  config = loadConfig({
    MARGAY_HOME: home,
    MARGAY_CLICKHOUSE__URL: engine.config.url,
    MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
  })
  const reporter = createReporter('api', { level: 'silent' })
  log = createEventLog(config, { reporter })
  clickhouse = createClickHouse(config, { reporter })
  await log.start?.()
  await log.createTopics(allTopics(config))
  await clickhouse.start?.()
  for (const { statements } of migrations) for (const statement of statements) await clickhouse.command(statement)
  api = await startApi({ log, clickhouse, listen: true, live: { intervalMs: 20 } })
})
afterAll(async () => {
  await api?.stop()
  await clickhouse?.stop?.()
  await log?.stop?.()
  await engine?.stop()
  rmSync(home, { recursive: true, force: true })
})

/** Writes events to their table as the store does: one block, rows numbered in it. */
async function store(definition: EventDefinition, events: readonly object[], offset: number): Promise<void> {
  const rows = events.map((event, index) => ({
    ...rowOf(definition, event),
    ingest_time: Date.now(),
    log_partition: 0,
    log_offset: offset,
    log_index: index,
  }))
  await clickhouse.insert({
    table: definition.table,
    format: 'JSONEachRow',
    body: Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')),
    settings: insertSettings as never,
  })
}

const aFlow = (i: number): FlowEvent =>
  ({
    cluster: 'test',
    host: 'node1',
    start_time: base - 10_000,
    end_time: base + (i % 3) * 1000,
    action: i % 2 === 0 ? 'allow' : 'deny',
    reporter: 'dst',
    proto: 'tcp',
    source_ip: '10.0.0.1',
    source_port: null,
    source_name: `client-${i}`,
    source_name_aggr: 'client-*',
    source_namespace: 'shop',
    source_type: 'wep',
    source_labels: ['app=client'],
    dest_ip: 'fd00::2',
    dest_port: 5432,
    dest_name: '-',
    dest_name_aggr: "o'clock \\ {p0:String}",
    dest_namespace: 'pay',
    dest_type: 'wep',
    dest_labels: [],
    dest_service_namespace: '-',
    dest_service_name: '-',
    dest_service_port: '-',
    dest_domains: [],
    enforced_policies: ['0|default|pay/ledger|deny|0'],
    pending_policies: [],
    bytes_in: i,
    bytes_out: 0,
    packets_in: 1,
    packets_out: 0,
    num_flows: 1,
    num_flows_started: 1,
    num_flows_completed: 0,
  }) as FlowEvent

const get = async <T = Record<string, unknown>>(path: string) => (await fetch(`${api.url}${path}`)).json() as Promise<T>
const runSql = async (query: string) => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${api.url}/v1/sql`, { method: 'POST', headers, body: JSON.stringify({ query }) })
  return (await answer.json()) as {
    rows: Record<string, unknown>[]
    columns: unknown[]
    code?: string
    detail?: string
  }
}

describe('events in ClickHouse', () => {
  const flows = Array.from({ length: 25 }, (_, i) => aFlow(i))
  beforeAll(() => store(flow, flows, 7))

  it('come back in their JSON form, with times as text and addresses as they are written', async () => {
    const { events, stats } = await get(
      `/v1/flows?${new URLSearchParams({ q: 'source_name = client-4', from: 'now-1h' })}`,
    )
    const { start_time, end_time, ...rest } = aFlow(4)
    expect(events).toEqual([
      expect.objectContaining({
        ...rest,
        start_time: new Date(start_time).toISOString(),
        end_time: new Date(end_time).toISOString(),
      }),
    ])
    expect(stats).toMatchObject({ elapsedMs: expect.any(Number), rowsRead: expect.any(Number) })
  })

  it('are seen once each over all pages, in order, in both directions', async () => {
    for (const order of ['asc', 'desc']) {
      const seen: { source_name: string; end_time: string }[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const page: { events: typeof seen; next: string | null } = await get(
          `/v1/flows?limit=4&order=${order}&from=now-1h${cursor === '' ? '' : `&cursor=${cursor}`}`,
        )
        seen.push(...page.events)
        cursor = page.next
      }
      expect(new Set(seen.map(({ source_name }) => source_name)).size).toBe(25)
      expect(seen).toHaveLength(25)
      const times = seen.map(({ end_time }) => end_time)
      expect(times).toEqual(order === 'asc' ? [...times].sort() : [...times].sort().reverse())
    }
  })

  it('come with SQL that gives the same rows when a person runs it', async () => {
    const q = 'dest_name_aggr = "o\'clock \\\\ {p0:String}" AND action IN {deny} AND dest_ip = fd00::/16'
    const { events, sql } = await get<{ events: unknown[]; sql: string }>(
      `/v1/flows?${new URLSearchParams({ q, from: 'now-1h' })}`,
    )
    expect(events).toHaveLength(12)
    expect((await runSql(sql)).rows).toHaveLength(12)
  })
})

describe('SQL of people', () => {
  it('answers with columns, rows and cost', async () => {
    expect(await runSql('SELECT action, count() AS n FROM flows GROUP BY action ORDER BY action')).toMatchObject({
      columns: [
        { name: 'action', type: 'LowCardinality(String)' },
        { name: 'n', type: 'UInt64' },
      ],
      rows: [
        { action: 'allow', n: 13 },
        { action: 'deny', n: 12 },
      ],
      stats: { rowsRead: 25 },
    })
  })

  it('passes on what ClickHouse says', async () => {
    expect(await runSql('SELECT colour FROM flows')).toMatchObject({
      code: 'SQL_FAILED',
      detail: expect.stringContaining('colour'),
    })
  })

  it('has at most as many rows as the configuration allows', async () => {
    expect(await runSql('SELECT number FROM numbers(20000)')).toMatchObject({
      code: 'SQL_FAILED',
      detail: expect.stringContaining('more than 10000 rows'),
    })
  })

  it.each([
    'INSERT INTO flows (cluster) SELECT 1',
    'ALTER TABLE flows DELETE WHERE 1',
    'SELECT 1; SELECT 2',
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    "SELECT * FROM url('http://127.0.0.1:1', LineAsString)",
    'SELECT * FROM system.processes',
    'SELECT * FROM default.`/etc/passwd`',
    "SELECT 1 INTO OUTFILE '/tmp/margay-outfile'",
  ])('is refused when it does more than read our tables: %s', async (sql) => {
    expect((await runSql(sql)).code).toBe('SQL_REFUSED')
  })
})

describe('the audit log', () => {
  it('shows who changed what, with the object before', async () => {
    const net = (nets: string) =>
      `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: audited}\nspec: {nets: [${nets}]}\n`
    for (const nets of ['10.0.0.0/8', '10.1.0.0/16']) {
      const headers = { 'content-type': 'application/yaml', 'x-margay-user': 'alice' }
      const answer = await fetch(`${api.url}/v1/apply`, { method: 'POST', headers, body: net(nets) })
      expect(answer.status).toBe(200)
    }
    const records = await log.read({ topic: 'margay.audit.v1', partition: 0, offset: 0 }, 100)
    const written = records.flatMap(({ value }) =>
      (value as Buffer)
        .toString()
        .split('\n')
        .map((line) => JSON.parse(line) as AuditEvent),
    )
    await store(audit, written, 1)
    const q = 'objectRef.name = audited AND verb = patch'
    const { events } = await get<{ events: AuditEvent[] }>(`/v1/events/audit?${new URLSearchParams({ q })}`)
    expect(events).toMatchObject([
      {
        user: { username: 'alice' },
        objectRef: { resource: 'globalnetworksets', name: 'audited', apiGroup: 'projectcalico.org' },
        responseObject: { spec: { nets: ['10.1.0.0/16'] } },
        stageTimestamp: expect.stringMatching(/Z$/),
      },
    ])
    expect(JSON.parse(events[0]?.annotations?.['margay.dev/before'] as string).spec).toEqual({ nets: ['10.0.0.0/8'] })
  })
})

describe('reports', () => {
  const content = 'name,value\n"ünïcode",1\n'
  const made: ReportEvent = {
    cluster: 'test',
    host: 'h',
    id: 'r-1',
    name: 'daily',
    report_type: 'inventory',
    start_time: base - 86_400_000,
    end_time: base,
    generated_time: base,
    complete: false,
    incomplete_reasons: ['no snapshot'],
    summary: { endpoints: 3 },
    files: [{ name: 'summary.csv', content_type: 'text/csv', sha256: 'ab12', bytes: 26, content }],
    document: { reportName: 'daily' },
  }
  beforeAll(() => store(report, [made], 1))

  it('are listed without contents, read with their document, and downloaded with name and type', async () => {
    const { reports } = await get<{ reports: Record<string, unknown>[] }>('/v1/reports')
    expect(reports).toEqual([
      {
        cluster: 'test',
        id: 'r-1',
        name: 'daily',
        report_type: 'inventory',
        start_time: new Date(base - 86_400_000).toISOString(),
        end_time: new Date(base).toISOString(),
        generated_time: new Date(base).toISOString(),
        complete: false,
        incomplete_reasons: ['no snapshot'],
        summary: { endpoints: 3 },
        files: [{ name: 'summary.csv', content_type: 'text/csv', sha256: 'ab12', bytes: 26 }],
      },
    ])
    const one = await get('/v1/reports/r-1')
    expect(one).toMatchObject({ id: 'r-1', document: { reportName: 'daily' }, files: [{ name: 'summary.csv' }] })
    expect(JSON.stringify(one)).not.toContain('ünïcode')
    const file = await fetch(`${api.url}/v1/reports/r-1/files/summary.csv`)
    expect(await file.text()).toBe(content)
    expect(file.headers.get('content-type')).toBe('text/csv')
    expect(file.headers.get('content-disposition')).toContain('filename="daily-summary.csv"')
    expect(await get('/v1/reports/none')).toMatchObject({ code: 'NOT_FOUND' })
    expect(await get('/v1/reports/r-1/files/none.csv')).toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('the live tail of the embedded log', () => {
  it('shows a flow soon after it was written', async () => {
    const end = new AbortController()
    const answer = await fetch(`${api.url}/v1/flows?q=source_name%20%3D%20live`, {
      headers: { accept: 'text/event-stream' },
      signal: end.signal,
    })
    const written = Date.now()
    await log.append(encodeBlocks(flow, [{ ...aFlow(1), source_name: 'live' }], { cluster: 'test', producer: 'test' }))
    let text = ''
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      if (text.includes('data: ')) break
    }
    expect(Date.now() - written).toBeLessThan(2000)
    expect(JSON.parse(text.slice(text.indexOf('data: ') + 6))).toMatchObject({ source_name: 'live' })
    end.abort()
  })
})

describe('when ClickHouse goes away', () => {
  it('answers 503, serves resources, and reads again once it is back', async () => {
    expect((await get('/v1/flows?from=now-1h')).events).toHaveLength(25)
    await engine.kill()
    expect(await get('/v1/flows')).toMatchObject({ status: 503, code: 'CLICKHOUSE_UNAVAILABLE' })
    expect(await get('/v1/status')).toMatchObject({ clickhouse: { state: 'down' } })
    expect((await get('/v1/resources/tiers')).items).toHaveLength(3)
    await engine.start()
    expect((await get('/v1/flows?from=now-1h')).events).toHaveLength(25)
  })
})

describe('the service as a process', () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const folder = mkdtempSync(join(tmpdir(), 'margay-api-process-'))
  let child: ChildProcess | undefined
  afterAll(async () => {
    await end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })

  /** Starts it and gives its address; no ClickHouse runs. */
  async function start(port: number, env: Record<string, string> = {}): Promise<string> {
    child = fork(main, [], {
      execArgv: ['--import', 'tsx', '--conditions=source'],
      env: {
        ...process.env,
        MARGAY_HOME: folder,
        MARGAY_API__PORT: String(port),
        MARGAY_REPORT__LEVEL: 'error',
        ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    await Promise.race([once(child, 'message'), once(child, 'exit')])
    return `http://127.0.0.1:${port}`
  }
  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null
    const gone = once(child, 'exit')
    child.kill(signal)
    return (await gone)[0] as number | null
  }
  const apply = async (url: string, name: string) => {
    const body = `apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: ${name}}\nspec: {order: 7}\n`
    const answer = await fetch(`${url}/v1/apply`, {
      method: 'POST',
      headers: { 'content-type': 'application/yaml' },
      body,
    })
    const { results } = (await answer.json()) as { results: { resource: { metadata: { resourceVersion: string } } }[] }
    return Number(results[0]?.resource.metadata.resourceVersion)
  }

  it('keeps what it acknowledged when it is killed, and goes on with higher versions', async () => {
    const port = await freePort()
    const first = await apply(await start(port), 'kept')
    await end('SIGKILL')
    const url = await start(port)
    const kept = (await (await fetch(`${url}/v1/resources/tiers/kept`)).json()) as { spec: unknown }
    expect(kept.spec).toMatchObject({ order: 7 })
    expect(await apply(url, 'next')).toBeGreaterThan(first)
    expect(
      ((await (await fetch(`${url}/v1/status`)).json()) as { services: { service: string }[] }).services,
    ).toMatchObject([{ service: 'api' }])
    expect(await end('SIGTERM')).toBe(0)
  })

  it('does not start on an address of other machines without a token', async () => {
    const said: Buffer[] = []
    const url = start(await freePort(), { MARGAY_API__HOST: '0.0.0.0' })
    child?.stderr?.on('data', (chunk: Buffer) => said.push(chunk))
    await url
    expect(child?.exitCode).toBe(1)
    expect(await fetch(await url).catch(() => 'refused')).toBe('refused')
  })
})
