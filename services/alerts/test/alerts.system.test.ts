import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeBlocks } from '@margay/kit/blocks'
import { createClickHouse } from '@margay/kit/clickhouse'
import { loadConfig } from '@margay/kit/config'
import type { EventLog } from '@margay/kit/event-log'
import { createEventLog } from '@margay/kit/log'
import { createReporter } from '@margay/kit/reporter'
import { versionHeader } from '@margay/kit/resources'
import { type AuditEvent, audit, flow, type Resource, resourcesTopic } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine, type TestEngine } from '../../../test/harness/engine.ts'
import { eventually, startService, type TestService } from '../../../test/harness/service.ts'
import { type SlackHarness, startSlack } from '../../../test/harness/slack.ts'
import { type SmtpHarness, startSmtp } from '../../../test/harness/smtp.ts'
import { aFlow } from './flow-sample.ts'

const lateralAccess: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'GlobalAlert',
  metadata: { name: 'network.lateral.access', uid: 'a-1' },
  spec: {
    description: 'Alerts when pods reach a monitored namespace',
    summary: `[flows] [lateral movement] \${source_namespace}/\${source_name_aggr} has accessed namespace dev`,
    severity: 100,
    period: '1m',
    lookback: '1m',
    dataSet: 'flows',
    query: '"dest_labels.labels" = "app=nginx" AND proto = tcp AND action = allow AND reporter = dst',
    aggregateBy: ['source_namespace', 'source_name_aggr'],
    field: 'num_flows',
    metric: 'sum',
    condition: 'gt',
    threshold: 0,
  },
}

const setChanged: Resource = {
  ...lateralAccess,
  metadata: { name: 'policy.globalnetworkset', uid: 'a-2' },
  spec: {
    description: 'Alerts on any change to global network sets',
    summary: `[audit] change detected for \${objectRef.resource} \${objectRef.name}`,
    severity: 70,
    period: '1m',
    lookback: '1m',
    dataSet: 'audit',
    query: "(verb=create OR verb=update OR verb=delete OR verb=patch) AND 'objectRef.resource'=globalnetworksets",
    aggregateBy: ['objectRef.resource', 'objectRef.name'],
    metric: 'count',
    condition: 'gt',
    threshold: 0,
  },
}

describe('alerts, from events in the log to people', () => {
  let home: string
  let log: EventLog
  let engine: TestEngine
  let store: TestService
  let alerts: TestService | undefined
  let smtp: SmtpHarness
  let slack: SlackHarness
  let env: Record<string, string>

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'margay-alerts-'))
    smtp = await startSmtp()
    slack = await startSlack('xoxb-test')
    writeFileSync(join(home, 'slack-token'), 'xoxb-test\n')
    engine = await startEngine(home)
    env = {
      MARGAY_CLICKHOUSE__URL: engine.config.url,
      MARGAY_CLICKHOUSE__PASSWORD_FILE: engine.config.passwordFile as string,
      MARGAY_ALERTS__RECEIVERS: JSON.stringify([
        {
          type: 'email',
          name: 'mail',
          host: '127.0.0.1',
          port: smtp.port,
          from: 'm@x.test',
          to: ['ops@x.test'],
          tls: 'none',
        },
        {
          type: 'slack',
          name: 'slack',
          channel: 'C0OPS',
          tokenFile: join(home, 'slack-token'),
          apiUrl: slack.url,
          minSeverity: 80,
        },
      ]),
    }
    store = await startService('store', home, env)
    log = createEventLog(loadConfig({ MARGAY_HOME: home }), { reporter: createReporter('test', { level: 'silent' }) })
    await log.start?.()
  })
  afterAll(async () => {
    await alerts?.stop()
    await store?.stop()
    await log?.stop?.()
    await engine?.stop()
    await smtp?.stop()
    await slack?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  const origin = { cluster: 'cluster', producer: 'test' }
  const apply = (resource: Resource, version: number) =>
    log.append([
      {
        topic: resourcesTopic,
        key: `globalalerts.projectcalico.org/-/${resource.metadata.name}`,
        value: Buffer.from(JSON.stringify({ object: resource })),
        headers: { [versionHeader]: String(version) },
      },
    ])

  it('fires once for each group, and its mail and its Slack message arrive though both receivers fail at first', async () => {
    smtp.faults.push({ at: 'data', code: 451 })
    slack.faults.push({ kind: 'rate', retryAfter: 1 }, { kind: 'reset', taken: true })
    await log.append(
      encodeBlocks(
        flow,
        [
          aFlow({ num_flows: 2 }),
          aFlow({ num_flows: 1 }),
          aFlow({ reporter: 'src' }),
          aFlow({ source_namespace: 'dev', source_name_aggr: 'netshoot' }),
          aFlow({ source_namespace: 'other', action: 'deny' }),
        ],
        origin,
      ),
    )
    const change: AuditEvent = {
      ...origin,
      host: 'node1',
      name: 'ee_audit',
      auditID: 'x1',
      level: 'RequestResponse',
      stage: 'ResponseComplete',
      verb: 'patch',
      requestURI: '/v1/apply',
      user: { username: 'alice' },
      objectRef: { resource: 'globalnetworksets', name: 'external-apis' },
      stageTimestamp: Date.now(),
    }
    await log.append(encodeBlocks(audit, [change], origin))
    await apply(lateralAccess, 1)
    await apply(setChanged, 2)
    const began = Date.now()
    alerts = await startService('alerts', home, env)
    await eventually('three mails', () => smtp.messages.length === 3)
    await eventually('two Slack messages', () => slack.messages.length === 2)
    console.log(`messages delivered ${Date.now() - began} ms after the service was started`)
    expect(smtp.messages.map(({ subject }) => subject).sort()).toEqual([
      '[Margay][Critical] network.lateral.access: [flows] [lateral movement] default/loadgenerator-* has accessed namespace dev',
      '[Margay][Critical] network.lateral.access: [flows] [lateral movement] dev/netshoot has accessed namespace dev',
      '[Margay][High] policy.globalnetworkset: [audit] change detected for globalnetworksets external-apis',
    ])
    expect(smtp.messages.find(({ subject }) => subject?.includes('loadgenerator'))?.text).toContain('sum: 3')
    expect(slack.messages.map(({ text }) => text).join()).toContain(
      'default/loadgenerator-* has accessed namespace dev',
    )
  })

  it('leaves each event and the outcome of each message in ClickHouse, and tells how the alerts are', async () => {
    const reporter = createReporter('reader', { level: 'silent' })
    const clickhouse = createClickHouse(loadConfig({ MARGAY_HOME: home, ...env }), { reporter })
    await clickhouse.start?.()
    try {
      const sent = () =>
        clickhouse.query<{ receiver: string; n: number }>(
          "SELECT receiver, count() AS n FROM notifications WHERE state = 'sent' GROUP BY receiver ORDER BY receiver",
        )
      await eventually('all deliveries recorded', async () => (await sent()).reduce((sum, { n }) => sum + n, 0) === 8)
      expect(await sent()).toEqual([
        { receiver: 'inbox', n: 3 },
        { receiver: 'mail', n: 3 },
        { receiver: 'slack', n: 2 },
      ])
      expect(
        await clickhouse.query(
          'SELECT origin, source_namespace, severity FROM events ORDER BY severity, source_namespace',
        ),
      ).toEqual([
        { origin: 'policy.globalnetworkset', source_namespace: '', severity: 70 },
        { origin: 'network.lateral.access', source_namespace: 'default', severity: 100 },
        { origin: 'network.lateral.access', source_namespace: 'dev', severity: 100 },
      ])
    } finally {
      await clickhouse.stop?.()
    }
    const { body } = (await (alerts as TestService).ask('/alerts')) as {
      body: { alerts: { name: string; status: object }[] }
    }
    expect(body.alerts.map(({ name, status }) => [name, status])).toEqual([
      [
        'network.lateral.access',
        expect.objectContaining({ active: true, healthy: true, lastEvent: expect.any(String) }),
      ],
      [
        'policy.globalnetworkset',
        expect.objectContaining({ active: true, healthy: true, lastExecuted: expect.any(String) }),
      ],
    ])
  })

  it('still sends, once it is back, what was raised before it was killed while the mail server was down', async () => {
    const { port } = smtp
    const before = smtp.messages.length
    const posts = slack.messages.length
    await smtp.stop()
    await log.append(encodeBlocks(flow, [aFlow({ source_namespace: 'late', source_name_aggr: 'intruder' })], origin))
    const edited = { ...lateralAccess, spec: { ...(lateralAccess.spec as object), severity: 95 } }
    await apply(edited, 3)
    await eventually('the Slack message of the new event', () => slack.messages.length === posts + 1)
    await alerts?.kill()
    smtp = await startSmtp({ port })
    alerts = await startService('alerts', home, env)
    await eventually('the mail that was due', () => smtp.messages.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(before).toBe(3)
    expect(smtp.messages.map(({ subject }) => subject)).toEqual([expect.stringContaining('intruder')])
    expect(slack.messages.length).toBe(posts + 1)
  })
})
