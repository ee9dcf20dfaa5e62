import { encodeBlocks } from '@margay/kit/blocks'
import { type FlowEvent, flow, status, topicOf } from '@margay/schemas'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type AskedStatement,
  fakeClickHouse,
  startApi,
  type TestApi,
  type TestApiOptions,
} from '../../../../test/harness/api.ts'
import { createMemoryLog } from '../../../../test/harness/memory-log.ts'

const now = Date.parse('2026-03-01T12:00:00Z')
let api: TestApi | undefined
afterEach(async () => {
  await api?.stop()
  api = undefined
})

/** What the fake ClickHouse answers next, and what it was asked. */
let table: { rows: object[]; asked: AskedStatement[] } = { rows: [], asked: [] }
const clickhouse = fakeClickHouse((statement) => {
  table.asked.push(statement)
  return { meta: [], data: table.rows, statistics: { elapsed: 0.0123, rows_read: 50, bytes_read: 1000 } }
})
let plain: TestApi
beforeAll(async () => {
  plain = await startApi({ clickhouse, now: () => now })
})
afterAll(() => plain.stop())

/** An API over a ClickHouse that answers with these rows; one of its own when it has options. */
async function setUp(rows: object[] = [], options?: TestApiOptions) {
  const asked: AskedStatement[] = []
  table = { rows, asked }
  if (options !== undefined) api = await startApi({ clickhouse, now: () => now, ...options })
  const used = api ?? plain
  const get = async (url: string) => (await used.app.inject(url)).json()
  return { api: used, asked, get }
}

const row = (minute: number) => ({
  end_time: `2026-03-01T11:0${minute}:00.000Z`,
  action: 'deny',
  log_partition: 0,
  log_offset: minute,
  log_index: 3,
})

const aFlow = (fields: Partial<FlowEvent> = {}): FlowEvent =>
  ({
    cluster: 'test',
    host: 'node1',
    start_time: now - 10_000,
    end_time: now,
    action: 'deny',
    reporter: 'dst',
    proto: 'tcp',
    source_ip: '10.0.0.1',
    source_port: null,
    dest_ip: '10.0.0.2',
    dest_port: 5432,
    source_labels: [],
    dest_labels: ['app=ledger'],
    dest_namespace: 'pay',
    enforced_policies: [],
    pending_policies: [],
    ...fields,
  }) as FlowEvent

describe('a page of events', () => {
  it('binds every value of the query and of the time range', async () => {
    const { asked, get } = await setUp([row(1)])
    const page = await get(
      `/v1/events/flows?${new URLSearchParams({ q: 'action = deny AND dest_namespace = "o\'clock"', from: 'now-15m', to: 'now', limit: '5' })}`,
    )
    const [statement] = asked as [AskedStatement]
    expect(statement.query_params).toMatchObject({ from: now - 900_000, to: now, p0: 'deny', p1: "o'clock" })
    expect(statement.query).not.toContain('clock')
    expect(statement.query).toContain(
      'ORDER BY end_time DESC, log_partition DESC, log_offset DESC, log_index DESC LIMIT 6',
    )
    expect(page).toMatchObject({
      events: [{ end_time: '2026-03-01T11:01:00.000Z', action: 'deny' }],
      next: null,
      from: '2026-03-01T11:45:00.000Z',
      to: '2026-03-01T12:00:00.000Z',
      stats: { rowsRead: 50, bytesRead: 1000, elapsedMs: 12.3 },
    })
    expect(page.events[0]).not.toHaveProperty('log_offset')
  })

  it('tells the SQL with its values written out and quoted', async () => {
    const { get } = await setUp()
    const { sql } = await get(
      `/v1/flows?${new URLSearchParams({ q: 'dest_namespace = "o\'clock" AND dest_port > 1024', limit: '5' })}`,
    )
    expect(sql).toMatch(/^SELECT \* FROM flows WHERE /)
    expect(sql).toContain("= 'o\\'clock'")
    expect(sql).toMatch(/LIMIT 5$/)
    expect(sql).not.toContain('{')
  })

  it('goes on after the last row when there is more', async () => {
    const { asked, get } = await setUp([row(3), row(2), row(1)])
    const first = await get('/v1/flows?limit=2')
    expect(first.events).toHaveLength(2)
    await get(`/v1/flows?limit=2&cursor=${first.next}`)
    expect(asked[1]?.query_params).toMatchObject({
      afterTime: Date.parse('2026-03-01T11:02:00Z'),
      afterPartition: 0,
      afterOffset: 2,
      afterIndex: 3,
    })
    expect(asked[1]?.query).toContain('(end_time, log_partition, log_offset, log_index) < (')
  })

  it('is the last day and 100 events unless asked otherwise, and never more than the limit of the configuration', async () => {
    const { asked, get } = await setUp([], { api: { queryMaxRows: 500 } })
    await get('/v1/flows')
    expect(asked[0]?.query_params.from).toBe(now - 86_400_000)
    expect(asked[0]?.query).toContain('LIMIT 101')
    await get('/v1/flows?limit=100000&order=asc')
    expect(asked[1]?.query).toContain('ASC LIMIT 501')
  })

  it('says where a query is wrong', async () => {
    const { asked, get } = await setUp()
    expect(await get(`/v1/flows?${new URLSearchParams({ q: 'action = deny AND colour = red' })}`)).toMatchObject({
      status: 400,
      code: 'QUERY_INVALID',
      position: 18,
      length: 6,
    })
    expect(await get('/v1/events/unicorns')).toMatchObject({ status: 404, code: 'DATA_SET_UNKNOWN' })
    for (const bad of [
      'from=yesterday',
      'limit=0',
      'limit=x',
      'order=up',
      'cursor=!',
      'from=now&to=now-1h',
      'colour=red',
    ]) {
      expect(await get(`/v1/flows?${bad}`)).toMatchObject({ status: 400, code: 'REQUEST_INVALID' })
    }
    expect(asked).toEqual([])
  })

  it('is 503 while ClickHouse is away, and 504 when it takes too long', async () => {
    api = await startApi()
    expect((await api.app.inject('/v1/flows')).json()).toMatchObject({ status: 503, code: 'CLICKHOUSE_UNAVAILABLE' })
    await api.stop()
    const slow = fakeClickHouse(() => {
      throw Object.assign(new Error('Timeout exceeded'), { code: '159', type: 'TIMEOUT_EXCEEDED' })
    })
    api = await startApi({ clickhouse: slow })
    expect((await api.app.inject('/v1/flows')).json()).toMatchObject({ status: 504, code: 'QUERY_TIMEOUT' })
  })
})

describe('SQL', () => {
  const run = async (query: string) => {
    const answer = await (api ?? plain).app.inject({ method: 'POST', url: '/v1/sql', payload: { query } })
    return answer.json()
  }

  it('runs read-only with the limits of the configuration', async () => {
    const { asked } = await setUp([{ n: 1 }], { api: { queryMaxRows: 7, queryMaxSeconds: 3 } })
    expect(await run('SELECT 1 AS n;')).toMatchObject({ rows: [{ n: 1 }], stats: { rowsRead: 50 } })
    expect(asked[0]).toMatchObject({
      query: 'SELECT 1 AS n',
      clickhouse_settings: { readonly: 1, max_execution_time: 3, max_result_rows: 7, result_overflow_mode: 'throw' },
    })
  })

  it('refuses what does not read before ClickHouse sees it', async () => {
    const { asked } = await setUp()
    expect(await run('DROP TABLE flows')).toMatchObject({ status: 400, code: 'SQL_REFUSED' })
    expect(asked).toEqual([])
  })

  it('passes the message of ClickHouse on', async () => {
    const failing = (code: string, type: string) =>
      fakeClickHouse(() => {
        throw Object.assign(new Error('Missing columns: colour'), { code, type })
      })
    api = await startApi({ clickhouse: failing('47', 'UNKNOWN_IDENTIFIER') })
    expect(await run('SELECT colour FROM flows')).toMatchObject({
      status: 400,
      code: 'SQL_FAILED',
      detail: 'Missing columns: colour',
      clickhouse: { code: 47, name: 'UNKNOWN_IDENTIFIER' },
    })
    await api.stop()
    api = await startApi({ clickhouse: failing('396', 'TOO_MANY_ROWS_OR_BYTES') })
    expect((await run('SELECT * FROM flows')).detail).toContain('add LIMIT 10000')
  })
})

describe('the live tail', () => {
  const quick = { intervalMs: 5 }

  async function follow(url: string, until: (text: string) => boolean): Promise<string> {
    const end = new AbortController()
    const answer = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: end.signal })
    if (!answer.ok) return answer.text()
    let text = `${answer.headers.get('content-type')}\n`
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      if (until(text)) break
    }
    end.abort()
    return text
  }

  it('sends new events that match, in the form of pages', async () => {
    const log = createMemoryLog(() => now)
    const { api } = await setUp([], { log, live: quick, listen: true })
    const text = follow(`${api.url}/v1/events/flows?q=dest_port%20%3D%205432`, (seen) => seen.includes('data: '))
    await until(() => streams(api), 1)
    const flows = [aFlow({ dest_port: 80 }), aFlow()]
    await log.append(encodeBlocks(flow, flows, { cluster: 'test', producer: 'test' }))
    const [head, ...rest] = (await text).split('\n')
    expect(head).toBe('text/event-stream')
    const events = rest.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)))
    expect(events).toEqual([
      { ...aFlow(), start_time: '2026-03-01T11:59:50.000Z', end_time: '2026-03-01T12:00:00.000Z' },
    ])
  })

  it('ends with its client', async () => {
    const { api } = await setUp([], { live: quick, listen: true })
    await follow(`${api.url}/v1/flows`, () => true)
    await until(() => streams(api), 0)
  })

  it('ends with the API', async () => {
    const { api } = await setUp([], { live: quick, listen: true })
    const text = follow(`${api.url}/v1/flows`, () => false).catch(() => 'closed')
    await until(() => streams(api), 1)
    await api.stop()
    expect(await text).toBeDefined()
  })

  it('is open to so many clients and refuses the next', async () => {
    const { api } = await setUp([], { live: { ...quick, maxStreams: 1 }, listen: true })
    const first = follow(`${api.url}/v1/flows`, () => false).catch(() => 'closed')
    await until(() => streams(api), 1)
    expect(await follow(`${api.url}/v1/flows`, () => true)).toContain('STREAMS_EXHAUSTED')
    await api.stop()
    await first
  })

  it('is refused for a wrong query', async () => {
    const { api } = await setUp([], { live: quick, listen: true })
    expect(await follow(`${api.url}/v1/flows?q=colour%3Dred`, () => true)).toContain('QUERY_INVALID')
  })
})

describe('the state of the pipeline', () => {
  const beat = (service: string, time: number, extra = {}) =>
    encodeBlocks(
      status,
      [
        {
          cluster: 'test',
          host: 'node1',
          time,
          service,
          state: 'ok',
          reason: '',
          version: '0.1.0',
          started: now,
          ...extra,
        },
      ],
      { cluster: 'test', producer: service },
    )

  it('has the newest heartbeat of each service, stale after 15 s, and the lag of the store', async () => {
    const log = createMemoryLog(() => now - 40_000)
    await log.append([...beat('agent', now - 20_000), ...beat('store', now - 60_000, { state: 'down' })])
    await log.append(beat('store', now - 1000))
    await log.append(encodeBlocks(flow, [aFlow(), aFlow()], { cluster: 'test', producer: 'test' }))
    log.commit('store', topicOf(status), 3)
    log.commit('store', 'margay.audit.v1', 1)
    const { get } = await setUp([{ lastMinute: 12, deniedLastMinute: 3 }], { log })
    const answer = await get('/v1/status')
    expect(answer).toMatchObject({
      cluster: 'test',
      state: 'degraded',
      simulated: false,
      lab: null,
      services: [
        { service: 'agent', host: 'node1', state: 'stale', reason: 'silent for 20 s' },
        { service: 'store', state: 'ok', lastSeen: '2026-03-01T11:59:59.000Z' },
      ],
      log: { state: 'degraded', lagEvents: 2, lagSeconds: 40, reason: 'the store is 40 s behind the log' },
      clickhouse: { state: 'ok' },
      flows: { lastMinute: 12, deniedLastMinute: 3 },
    })
  })

  it('tells of a lab that judges without a kernel', async () => {
    const ask = async () => ({ mode: 'simulated', reason: 'not root', nodes: [], pods: [] })
    const { get } = await setUp([], { ask })
    expect(await get('/v1/status')).toMatchObject({ simulated: true, lab: { mode: 'simulated', reason: 'not root' } })
  })

  it('answers while ClickHouse and the log are away, and says so', async () => {
    const log = createMemoryLog(() => now)
    api = await startApi({ log })
    Object.assign(log, { offsets: async () => Promise.reject(new Error('the log is away')) })
    expect((await api.app.inject('/v1/status')).json()).toMatchObject({
      state: 'down',
      log: { state: 'down', reason: 'the log is away', lagEvents: null, lagSeconds: null },
      clickhouse: { state: 'down' },
      flows: null,
    })
  })
})

async function streams({ app }: TestApi): Promise<number> {
  return Number(/margay_api_streams (\d+)/.exec((await app.inject('/metrics')).body)?.[1] ?? -1)
}

async function until<T>(read: () => Promise<T>, expected: T): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if ((await read()) === expected) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(await read()).toBe(expected)
}
