import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { callSocket } from '@margay/cli/client'
import { createCluster, evaluate, type FlowEvent, formatTrace, protocolNumber, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startBroker } from '../../infra/kafka/broker.ts'
import { canRunKafka, canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'
import { type SlackHarness, startSlack } from '../harness/slack.ts'
import { type SmtpHarness, startSmtp } from '../harness/smtp.ts'
import { type LadderProbe, ladder, type Outcome } from './ladder-table.ts'

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/ladder/${name}.yaml`, import.meta.url))
const topology = fileURLToPath(new URL('../../services/lab/manifests/demo', import.meta.url))

/** One record for each connection, with addresses, so that records can be held against the evaluator. */
const collection = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFlushInterval: 10s, flowLogsFileAggregationKindForAllowed: 1}
`
const lateralAccess = `
apiVersion: projectcalico.org/v3
kind: GlobalAlert
metadata: {name: lateral-access}
spec:
  description: Somebody reached paymentservice who has no business there
  summary: '\${source_namespace}/\${source_name_aggr} reached \${dest_namespace}/\${dest_name_aggr}'
  severity: 80
  dataSet: flows
  period: 1m
  lookback: 3m
  query: >-
    reporter = dst AND action = allow AND proto = tcp AND dest_labels = "app=paymentservice" AND NOT source_labels = "app=checkoutservice"
  aggregateBy: [source_namespace, source_name_aggr, dest_namespace, dest_name_aggr]
  metric: sum
  field: num_flows
  condition: gt
  threshold: 0
---
apiVersion: projectcalico.org/v3
kind: GlobalReport
metadata: {name: policy-changes}
spec: {reportType: policy-audit, schedule: 0 0 * * *}
`

interface ProbeAnswer {
  verdict: 'allow' | 'deny'
  error?: string
  flow: FlowEvent | null
}

/** The system under test: the product, with somewhere for its messages to go. */
interface Bench {
  readonly product: Product
  readonly smtp: SmtpHarness
  readonly slack: SlackHarness
  readonly startedAt: number
  stop(): Promise<void>
}

async function startBench(adapter: 'embedded' | 'kafka'): Promise<Bench> {
  const secrets = mkdtempSync(join(tmpdir(), 'margay-ladder-'))
  const undo: (() => Promise<void> | void)[] = [() => rmSync(secrets, { recursive: true, force: true })]
  const stop = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    const smtp = await startSmtp()
    undo.push(() => smtp.stop())
    writeFileSync(join(secrets, 'slack'), 'xoxb-ladder')
    const slack = await startSlack('xoxb-ladder')
    undo.push(() => slack.stop())
    const env: Record<string, string> = {
      MARGAY_ALERTS__RECEIVERS: JSON.stringify([
        {
          type: 'email',
          name: 'mail',
          host: '127.0.0.1',
          port: smtp.port,
          tls: 'none',
          from: 'margay@example.com',
          to: ['oncall@example.com'],
        },
        { type: 'slack', name: 'chat', channel: 'C0LADDER', tokenFile: join(secrets, 'slack'), apiUrl: slack.url },
      ]),
    }
    if (adapter === 'kafka') {
      const broker = await startBroker()
      undo.push(() => broker.stop())
      env.MARGAY_LOG__ADAPTER = 'kafka'
      env.MARGAY_LOG__KAFKA__BROKERS = JSON.stringify(broker.brokers)
      env.MARGAY_LOG__KAFKA__PARTITIONS = '2'
    }
    const startedAt = Date.now()
    const product = await startProduct({ args: ['--lab', topology], env })
    undo.push(() => product.stop())
    return { product, smtp, slack, startedAt, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Asks the lab itself: the command line does the same, at the price of a process for each probe. */
const probe = (product: Product, { source, destination }: LadderProbe) =>
  callSocket<ProbeAnswer>(join(product.home, 'run', 'lab.sock'), 'POST', '/probe', {
    source,
    destination,
    waitFlowMs: 8000,
  })

/** Probes a few at a time. */
async function probeAll(product: Product, probes: readonly LadderProbe[]): Promise<Map<LadderProbe, ProbeAnswer>> {
  const answers = new Map<LadderProbe, ProbeAnswer>()
  const waiting = [...probes]
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      answers.set(next, await probe(product, next))
  }
  await Promise.all(Array.from({ length: 6 }, work))
  return answers
}

const outcomeOf = ({ verdict, flow }: ProbeAnswer): Outcome | 'no record' =>
  flow === null
    ? 'no record'
    : verdict === 'allow'
      ? 'allow'
      : flow.reporter === 'src'
        ? 'deny at source'
        : 'deny at destination'

/** Every resource that the API holds of the kinds that decide. */
async function clusterOf(product: Product) {
  const cluster = createCluster()
  for (const plural of [
    'namespaces',
    'serviceaccounts',
    'nodes',
    'pods',
    'services',
    'endpointslices',
    'tiers',
    'globalnetworkpolicies',
    'networkpolicies',
    'networkpolicies.networking.k8s.io',
  ]) {
    const response = await fetch(`${product.url}/v1/resources/${plural}`)
    expect(response.status, plural).toBe(200)
    for (const resource of ((await response.json()) as { items: Resource[] }).items) cluster.apply(resource)
  }
  return cluster
}

/** The trace that the evaluator gives for the connection of a record, as the record spells it. */
function expectedTrace(cluster: ReturnType<typeof createCluster>, flow: FlowEvent): string[] {
  const { egress, ingress } = evaluate(cluster, {
    sourceIp: flow.source_ip as string,
    destinationIp: flow.dest_ip as string,
    protocol: protocolNumber(flow.proto) as number,
    sourcePort: 40_000,
    destinationPort: flow.dest_port,
  })
  return ((flow.reporter === 'src' ? egress : ingress)?.trace ?? []).map(formatTrace)
}

const byIndex = (trace: readonly string[]) => [...trace].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))

/**
 * The whole path on one kind of event log: packet, record, trace, alert, mail, Slack, audit, report, at the stages of the
 * policy ladder that decide. One file calls it for each log, so that they can run side by side.
 */
export function climbLadder(adapter: 'embedded' | 'kafka'): void {
  describe.skipIf(!canRunKernelLab || (adapter === 'kafka' && !canRunKafka))(
    `the policy ladder in a real kernel, on the ${adapter} log`,
    () => {
      let bench: Bench

      beforeAll(async () => {
        bench = await startBench(adapter)
        writeFileSync(join(bench.product.home, 'start.yaml'), `${collection}---${lateralAccess}`)
        const applied = await bench.product.margay('apply', '-f', join(bench.product.home, 'start.yaml'))
        expect(applied.stderr + applied.stdout).toMatch(/globalalerts\/lateral-access created/)
      })
      afterAll(() => bench?.stop())

      const climb = (stage: number) =>
        test(`stage ${stage}: verdict, record and trace agree with the table and with the evaluator`, async () => {
          const answers = await probeAll(bench.product, ladder)
          const cluster = await clusterOf(bench.product)
          const seen = ladder.map(
            (probe) => `${probe.source} -> ${probe.destination}: ${outcomeOf(answers.get(probe) as ProbeAnswer)}`,
          )
          expect(seen).toEqual(
            ladder.map((probe) => `${probe.source} -> ${probe.destination}: ${probe.outcomes[stage]}`),
          )
          for (const { flow } of answers.values()) {
            const record = flow as FlowEvent
            expect(
              byIndex(record.enforced_policies),
              `${record.source_name} -> ${record.dest_name}:${record.dest_port}`,
            ).toEqual(expectedTrace(cluster, record))
          }
        })

      climb(0)
      test('stage 1 is applied', async () => {
        expect(await bench.product.margay('apply', '-f', fixture('s1'))).toMatchObject({ code: 0 })
      })
      climb(1)

      test('the lateral-access alert fires once for each group; its mail and its Slack message arrive', async () => {
        const events = () =>
          bench.product.sql<{ description: string }>(
            "SELECT description FROM events WHERE name = 'lateral-access' ORDER BY description",
          )
        // Two who have no business there reached paymentservice in the stages so far.
        const groups = [
          /^default\/emailservice-.* reached default\/paymentservice-/,
          /^dev\/netshoot reached default\/paymentservice-/,
        ]
        await until(
          async () =>
            (await events()).length >= groups.length &&
            bench.smtp.messages.length >= groups.length &&
            bench.slack.messages.length >= groups.length,
          90_000,
          () => `the alert did not fire: ${bench.product.screen()}`,
        )
        const raised = await events()
        expect(raised).toHaveLength(groups.length)
        for (const [i, group] of groups.entries()) expect(raised[i]?.description).toMatch(group)
        for (const group of groups) {
          const text = new RegExp(group.source.replace('^', ''))
          expect(bench.smtp.messages.filter((mail) => text.test(`${mail.subject} ${mail.text}`))).toHaveLength(1)
          expect(bench.slack.messages.filter((message) => text.test(JSON.stringify(message)))).toHaveLength(1)
        }
      })

      test('stage 4 is applied', async () => {
        for (const stage of ['s2', 's3', 's4'])
          expect(await bench.product.margay('apply', '-f', fixture(stage))).toMatchObject({ code: 0 })
        expect(await bench.product.margay('delete', '-f', fixture('s4-remove'))).toMatchObject({ code: 0 })
      })
      climb(4)

      test('the command line tells the same: exit 1 and the deciding record for a denial, 0 for what is allowed', async () => {
        const denied = await bench.product.margay('lab', 'probe', 'dev/netshoot', 'default/paymentservice:50051')
        expect(denied.code).toBe(1)
        expect(denied.stdout).toMatch(/: deny .*\n.* DENY +end of tier default/)
        expect(
          await bench.product.margay('lab', 'exec', 'dev/centos', '--', 'curl', '-sm5', 'http://nginx-svc'),
        ).toMatchObject({ code: 0 })
        expect(
          await bench.product.margay('lab', 'exec', 'dev/netshoot', '--', 'curl', '-sm2', 'http://nginx-svc'),
        ).toMatchObject({ code: 28 })
        expect((await bench.product.margay('lab', 'probe', 'nobody', 'dev/centos:1')).code).toBeGreaterThanOrEqual(64)
      })

      test('what apply wrote reads back: applying what get printed changes nothing', async () => {
        const { stdout } = await bench.product.margay('get', 'gnp', '-o', 'yaml')
        writeFileSync(join(bench.product.home, 'again.yaml'), stdout)
        const again = await bench.product.margay('apply', '-f', join(bench.product.home, 'again.yaml'))
        expect(
          again.stdout
            .trim()
            .split('\n')
            .every((line) => line.endsWith(' unchanged')),
        ).toBe(true)
        expect(await bench.product.margay('diff', '-f', join(bench.product.home, 'again.yaml'))).toMatchObject({
          code: 0,
          stdout: '',
        })
      })

      test('a policy change is in the audit table with its user and what changed', async () => {
        const changed = readFileSync(fixture('s4'), 'utf8').replace('order: 2000', 'order: 42')
        writeFileSync(join(bench.product.home, 'changed.yaml'), changed)
        const difference = await bench.product.margay('diff', '-f', join(bench.product.home, 'changed.yaml'))
        expect(difference.code).toBe(1)
        expect(difference.stdout).toMatch(/^\+ {2}order: 42$/m)
        expect(await bench.product.margay('apply', '-f', join(bench.product.home, 'changed.yaml'))).toMatchObject({
          code: 0,
        })
        const rows = () =>
          bench.product.sql<{ user: string; before: string; after: string }>(
            "SELECT user_username AS user, toString(annotations) AS before, toString(responseObject) AS after FROM audit WHERE objectRef_resource = 'globalnetworkpolicies' AND verb IN ('update', 'patch') AND objectRef_name LIKE '%default-deny'",
          )
        await until(
          async () => (await rows()).length === 1,
          20_000,
          () => 'no audit row',
        )
        const [row] = await rows()
        expect(row?.user).toBe(userInfo().username)
        expect(row?.after).toMatch(/"order":\s*42/)
        expect(row?.before).not.toMatch(/"order\\*":\s*42/)
      })

      test('the policy-audit report tells of the change in CSV and JSON', async () => {
        const run = await bench.product.margay(
          'reports',
          'run',
          'policy-changes',
          '--start',
          new Date(bench.startedAt).toISOString(),
          '--end',
          new Date().toISOString(),
        )
        expect(run).toMatchObject({ code: 0, stderr: '' })
        const id = run.stdout.trim()
        await until(
          async () => (await bench.product.margay('reports', 'get', id)).code === 0,
          20_000,
          () => `report ${id} does not show`,
        )
        const download = await bench.product.margay('reports', 'download', id, '-d', bench.product.home)
        expect(download.code).toBe(0)
        const summary = readFileSync(join(bench.product.home, 'policy-changes-summary.csv'), 'utf8')
        expect(summary).toMatch(/numCreatedPolicies,numModifiedPolicies,numDeletedPolicies/)
        const cells = summary.trim().split(/\r?\n/).at(-1)?.split(',').slice(-3).map(Number) as [number, number, number]
        expect(cells[0]).toBeGreaterThan(15)
        expect(cells.slice(1)).toEqual([1, 1])
        const events = JSON.parse(readFileSync(join(bench.product.home, 'policy-changes-events.json'), 'utf8')) as {
          verb: string
          user: { username: string }
          objectRef: { name: string }
        }[]
        const change = events.find((event) => event.verb === 'update' || event.verb === 'patch')
        expect(change?.user.username).toBe(userInfo().username)
        expect(change?.objectRef.name).toMatch(/default-deny$/)
      })

      test('evaluated again since, the alert has not fired again', async () => {
        const firedAt = Date.parse(
          (
            await bench.product.sql<{ time: string }>(
              "SELECT formatDateTime(max(time), '%FT%TZ') AS time FROM events WHERE name = 'lateral-access'",
            )
          )[0]?.time as string,
        )
        const evaluated = async () => {
          const { alerts } = (await (await fetch(`${bench.product.url}/v1/alerts`)).json()) as {
            alerts: { name: string; status: { lastExecuted?: string } | null }[]
          }
          return Date.parse(alerts.find(({ name }) => name === 'lateral-access')?.status?.lastExecuted ?? '')
        }
        await until(
          async () => (await evaluated()) > firedAt + 30_000,
          90_000,
          () => 'the alert was not evaluated again',
        )
        expect(await bench.product.sql("SELECT id FROM events WHERE name = 'lateral-access'")).toHaveLength(2)
        expect(bench.smtp.messages).toHaveLength(2)
      })
    },
  )
}
