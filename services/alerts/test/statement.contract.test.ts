import { readAlert } from '@margay/alerts/alert'
import { compile, hitsOf } from '@margay/alerts/statement'
import { type ClickHouse, createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import { createReporter } from '@margay/kit/reporter'
import {
  type AuditEvent,
  audit,
  createTableSql,
  type DnsEvent,
  dns,
  type EventDefinition,
  flow,
  l7,
  rowOf,
} from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { aFlow } from './flow-sample.ts'

/** An hour ago: the tables drop what is too old. */
const at = Math.floor(Date.now() / 1000) * 1000 - 3_600_000

const aLookup = (rest: Partial<DnsEvent>): DnsEvent => ({
  cluster: 'c',
  host: 'node1',
  start_time: at - 1000,
  end_time: at,
  type: 'LOG',
  count: 1,
  client_ip: null,
  client_name: '-',
  client_name_aggr: 'centos',
  client_namespace: 'dev',
  client_labels: ['app=centos'],
  qname: 'www.google.com',
  qtype: 'A',
  qclass: 'IN',
  rcode: 'NoError',
  rrsets: [{ name: 'www.google.com', type: 'A', class: 'IN', rdata: ['203.0.113.1', '203.0.113.2'] }],
  servers: [{ ip: '10.96.0.10', name: 'kube-dns', name_aggr: 'kube-dns', namespace: 'kube-system', labels: [] }],
  ...rest,
})
const aChange = (rest: Partial<AuditEvent>): AuditEvent => ({
  cluster: 'c',
  host: 'node1',
  name: 'ee_audit',
  auditID: 'a1',
  level: 'RequestResponse',
  stage: 'ResponseComplete',
  verb: 'patch',
  requestURI: '/x',
  user: { username: 'alice' },
  objectRef: { resource: 'globalnetworksets', name: 'external-apis' },
  responseObject: { kind: 'GlobalNetworkSet' },
  stageTimestamp: at,
  ...rest,
})

describe('an alert asked of ClickHouse', () => {
  let engine: TestEngine
  let clickhouse: ClickHouse
  beforeAll(async () => {
    engine = await startEngine()
    const config = loadConfig({
      MARGAY_HOME: engine.home,
      MARGAY_CLICKHOUSE__URL: engine.config.url,
      MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
    })
    clickhouse = createClickHouse(config, { reporter: createReporter('test', { level: 'silent' }) })
    await clickhouse.start?.()
    const flows = [
      aFlow({ end_time: at, num_flows: 2, bytes_out: 100, source_ip: '10.0.0.1', source_port: 5000 }),
      aFlow({ end_time: at - 59_999, num_flows: 1, bytes_out: 50, simulated: true }),
      aFlow({ end_time: at - 60_000, num_flows: 90 }),
      aFlow({ end_time: at + 1, num_flows: 90 }),
      aFlow({ end_time: at, reporter: 'src', num_flows: 4 }),
      aFlow({
        end_time: at,
        source_namespace: 'dev',
        source_name_aggr: 'netshoot',
        source_labels: ['app=netshoot', 'team=x'],
      }),
    ]
    await fill(flow, flows)
    await fill(dns, [
      aLookup({}),
      aLookup({ qname: 'www.google.com.dev.svc.cluster.local', rcode: 'NXDomain', rrsets: [], servers: [] }),
      aLookup({ rcode: 'SERVFAIL', qname: 'x.test', latency_mean: 7 }),
    ])
    await fill(audit, [
      aChange({}),
      aChange({ auditID: 'a2', verb: 'get' }),
      aChange({ auditID: 'a3', objectRef: { resource: 'pods', name: 'p' } }),
    ])
    await fill(l7, [])
  })
  afterAll(async () => {
    await clickhouse?.stop?.()
    await engine?.stop()
  })

  async function fill(definition: EventDefinition, events: readonly object[]): Promise<void> {
    await clickhouse.command(createTableSql(definition))
    const rows = events.map((event, log_index) => ({
      ...rowOf(definition, event),
      ingest_time: at,
      log_partition: 0,
      log_offset: 7,
      log_index,
    }))
    if (rows.length === 0) return
    await clickhouse.insert({
      table: definition.table,
      format: 'JSONEachRow',
      body: Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')),
    })
  }

  async function find(spec: object, maxEvents = 100) {
    const alert = readAlert({
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalAlert',
      metadata: { name: 'test' },
      spec: { severity: 1, description: 'd', ...spec },
    })
    const statement = compile(alert, { database: 'margay', maxEvents })
    const rows = await clickhouse.query<Record<string, unknown>>(statement.sql, {
      params: { ...statement.params, from: at - 60_000, to: at },
    })
    return hitsOf(statement, rows)
  }
  const records = async (spec: object) => (await find(spec)).hits.map(({ record }) => record)
  const lateral = {
    dataSet: 'flows',
    query: '"dest_labels.labels" = "app=nginx" AND proto = tcp AND action = allow AND reporter = dst',
    aggregateBy: ['source_namespace', 'source_name_aggr'],
  }

  it('sums each group over the window, whose start is out and whose end is in', async () => {
    const spec = { ...lateral, metric: 'sum', field: 'num_flows', condition: 'gt', threshold: 0 }
    const { hits } = await find(spec)
    expect(hits.map(({ record, isSimulated }) => ({ ...record, isSimulated }))).toEqual([
      { source_namespace: 'default', source_name_aggr: 'loadgenerator-*', sum: 3, isSimulated: true },
      { source_namespace: 'dev', source_name_aggr: 'netshoot', sum: 1, isSimulated: false },
    ])
    expect(await records({ ...spec, condition: 'gte', threshold: 3 })).toHaveLength(1)
    expect(await records({ ...spec, condition: 'gt', threshold: 3 })).toEqual([])
  })

  it('gives one hit for each group without a metric', async () => {
    expect(await records(lateral)).toEqual([
      { source_namespace: 'default', source_name_aggr: 'loadgenerator-*' },
      { source_namespace: 'dev', source_name_aggr: 'netshoot' },
    ])
  })

  it('measures all rows at once without a group; nothing counts as 0 but has no greatest', async () => {
    const none = { dataSet: 'flows', query: 'proto = udp' }
    const only = (metric: string, condition: string, threshold: number, query = 'reporter = dst') =>
      records({
        dataSet: 'flows',
        query,
        metric,
        condition,
        threshold,
        ...(metric === 'count' ? {} : { field: 'bytes_out' }),
      })
    expect(await only('count', 'eq', 3)).toEqual([{ count: 3 }])
    expect(await only('avg', 'gt', 50)).toEqual([{ avg: expect.closeTo(151 / 3) }])
    expect(await only('max', 'eq', 100)).toEqual([{ max: 100 }])
    expect(await only('min', 'not_eq', 100)).toEqual([{ min: 1 }])
    expect(await only('count', 'lt', 1, none.query)).toEqual([{ count: 0 }])
    expect(await only('sum', 'lte', 0, none.query)).toEqual([{ sum: 0 }])
    expect(await only('max', 'lte', 0, none.query)).toEqual([])
  })

  it('keeps whole rows as they were reported when it neither groups nor measures', async () => {
    const { hits } = await find({ dataSet: 'dns', query: 'rcode = servfail' })
    expect(hits).toHaveLength(1)
    expect(hits[0]).toMatchObject({
      isRow: true,
      record: {
        end_time: new Date(at).toISOString(),
        qname: 'x.test',
        rrsets: [{ name: 'www.google.com', rdata: ['203.0.113.1', '203.0.113.2'] }],
        servers: [{ ip: '10.96.0.10' }],
        latency_mean: 7,
      },
    })
    const audited = await records({
      dataSet: 'audit',
      query: "verb != get AND 'objectRef.resource' = globalnetworksets",
    })
    expect(audited).toMatchObject([
      { objectRef: { name: 'external-apis' }, responseObject: { kind: 'GlobalNetworkSet' } },
    ])
  })

  it('groups by addresses, ports, labels and members of nested columns; what has no value is kept', async () => {
    expect(
      await records({ dataSet: 'flows', query: 'reporter = dst', aggregateBy: ['source_ip', 'source_port'] }),
    ).toEqual([
      { source_ip: '10.0.0.1', source_port: 5000 },
      { source_ip: null, source_port: null },
    ])
    expect(await records({ dataSet: 'flows', query: 'reporter = dst', aggregateBy: 'source_labels' })).toEqual([
      { source_labels: 'app=loadgenerator' },
      { source_labels: 'app=netshoot' },
      { source_labels: 'team=x' },
    ])
    const servers = await records({ dataSet: 'dns', aggregateBy: ['servers.ip'], metric: 'count', condition: 'gt' })
    expect(servers).toEqual([
      { 'servers.ip': '10.96.0.10', count: 2 },
      { 'servers.ip': expect.any(String), count: 1 },
    ])
    expect(await records({ dataSet: 'dns', query: 'rcode = NoError', aggregateBy: ['rrsets.rdata'] })).toHaveLength(2)
  })

  it('does not match the search-domain variants of a name that was asked for', async () => {
    const spec = {
      dataSet: 'dns',
      query: `(client_namespace = "dev" AND client_labels = "app=centos") AND (qname IN ${'$'}{bad} AND qname NOTIN {"*.cluster.local"})`,
      substitutions: [{ name: 'bad', values: ['www.google.*'] }],
      aggregateBy: ['client_namespace', 'client_name_aggr', 'qname'],
      metric: 'count',
      condition: 'gt',
      threshold: 0,
    }
    expect(await records(spec)).toEqual([
      { client_namespace: 'dev', client_name_aggr: 'centos', qname: 'www.google.com', count: 1 },
    ])
  })

  it('tells when there was more than it may raise, and keeps the greatest', async () => {
    const spec = { ...lateral, metric: 'sum', field: 'num_flows', condition: 'gt', threshold: 0 }
    const { hits, isTruncated } = await find(spec, 1)
    expect([hits.map(({ record }) => record.sum), isTruncated]).toEqual([[3], true])
    expect((await find({ dataSet: 'l7' }, 1)).isTruncated).toBe(false)
  })
})
