import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { callSocket } from '@margay/cli/client'
import { createCluster, evaluate, type FlowEvent, formatTrace, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const fixture = (stage: string) => file(`fixtures/ladder/${stage}.yaml`)

interface Answer {
  readonly verdict: 'allow' | 'deny'
  readonly error?: string
  readonly flow: FlowEvent | null
}

const collection = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFlushInterval: 10s, flowLogsFileAggregationKindForAllowed: 1, dnsLogsFileAggregationKind: 0}
`
/** Name servers answer over TCP too, which the workshop forgets. */
const dnsOverTcp = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: platform.allow-dns-over-tcp}
spec:
  tier: platform
  order: 3
  selector: app == "centos"
  types: [Egress]
  egress:
    - {action: Allow, protocol: TCP, destination: {selector: k8s-app == "kube-dns", ports: [53]}}
`

describe.skipIf(!canRunKernelLab)('egress by domain name, on the lab', () => {
  const manifests = mkdtempSync(join(tmpdir(), 'margay-names-'))
  let product: Product

  async function apply(...stages: string[]): Promise<void> {
    for (const stage of stages) {
      const path = stage.includes('\n') ? join(manifests, '..', `${product.labId}.yaml`) : fixture(stage)
      if (stage.includes('\n')) writeFileSync(path, stage)
      const { code, stderr, stdout } = await product.margay('apply', '-f', path)
      expect(code, stderr + stdout).toBe(0)
      if (stage.includes('\n')) rmSync(path)
    }
  }
  const probe = (destination: string, source = 'dev/centos') =>
    callSocket<Answer>(join(product.home, 'run', 'lab.sock'), 'POST', '/probe', {
      source,
      destination,
      waitFlowMs: 8000,
    })
  const verdicts = async (...destinations: string[]) => {
    const answers = await Promise.all(destinations.map((destination) => probe(destination)))
    return Object.fromEntries(destinations.map((destination, i) => [destination, answers[i]?.verdict]))
  }
  /** What the evaluator says of a flow's connection, with the names that the flow bears. */
  async function expectedTrace(flow: FlowEvent): Promise<string[]> {
    const cluster = createCluster()
    for (const plural of [
      'namespaces',
      'serviceaccounts',
      'nodes',
      'pods',
      'services',
      'endpointslices',
      'tiers',
      'globalnetworksets',
      'globalnetworkpolicies',
      'networkpolicies',
      'networkpolicies.networking.k8s.io',
    ]) {
      const response = await fetch(`${product.url}/v1/resources/${plural}`)
      for (const resource of ((await response.json()) as { items: Resource[] }).items) cluster.apply(resource)
    }
    const { egress } = evaluate(cluster, {
      sourceIp: flow.source_ip as string,
      destinationIp: flow.dest_ip as string,
      protocol: 6,
      sourcePort: 40_000,
      destinationPort: flow.dest_port,
      domains: flow.dest_domains,
    })
    return (egress?.trace ?? []).map(formatTrace)
  }
  async function expectAgreement({ flow }: Answer): Promise<FlowEvent> {
    const record = flow as FlowEvent
    expect(record.enforced_policies).toEqual(await expectedTrace(record))
    return record
  }

  beforeAll(async () => {
    cpSync(file('../services/lab/manifests/demo'), manifests, { recursive: true })
    cpSync(file('fixtures/names.yaml'), join(manifests, 'names.yaml'))
    product = await startProduct({ args: ['--lab', manifests] })
    await apply(collection, 's1', 's2', 's3', 's4', 's5')
    expect(await product.margay('delete', '-f', fixture('s4-remove'))).toMatchObject({ code: 0 })
  })
  afterAll(async () => {
    await product?.stop()
    rmSync(manifests, { recursive: true, force: true })
  })

  test('stages 5 and 6: no name opens anything', async () => {
    expect(await verdicts('frontend.default.svc.cluster.local:80', 'api.twilio.com:443', 'www.google.com:443')).toEqual(
      { 'frontend.default.svc.cluster.local:80': 'deny', 'api.twilio.com:443': 'deny', 'www.google.com:443': 'deny' },
    )
    await apply('s6')
    expect(await verdicts('frontend.default.svc.cluster.local:80', 'api.twilio.com:443')).toEqual({
      'frontend.default.svc.cluster.local:80': 'allow',
      'api.twilio.com:443': 'deny',
    })
  })

  test('stage 7: the names of one partner; the log tells of the look-up and then of the flow, by its name', async () => {
    await apply('s7')
    const answer = await probe('api.twilio.com:443')
    expect(answer.verdict).toBe('allow')
    const flow = await expectAgreement(answer)
    expect(flow).toMatchObject({ reporter: 'src', action: 'allow', dest_type: 'net', dest_name_aggr: 'pub' })
    expect(flow.dest_domains).toEqual(['api.twilio.com', 'edge.twilio-api.example'])
    expect(flow.enforced_policies).toEqual(['0|security|security.external-domains-access|allow|0'])
    const asked = () =>
      product.sql<{ client: string; latency: number; before: number; records: string }>(
        `SELECT client_name AS client, toUInt32(latency_count) AS latency, start_time <= fromUnixTimestamp64Milli(${flow.start_time}) AS before, toString(rrsets) AS records FROM dns WHERE qname = 'api.twilio.com' AND rcode = 'NoError' ORDER BY start_time DESC`,
      )
    await until(
      async () => (await asked()).some(({ client, latency }) => client.startsWith('centos') && latency > 0),
      20_000,
      () => 'no record of the look-up',
    )
    const [row] = await asked()
    expect(row?.records).toContain(flow.dest_ip as string)
    expect((await asked()).some(({ before }) => Boolean(before))).toBe(true)
    expect(await verdicts('www.google.com:443')).toEqual({ 'www.google.com:443': 'deny' })
  })

  test('an address that nobody looked up is closed; one that two names share opens for both, and the flow says so', async () => {
    // By number, before anybody asked for the name.
    expect(await verdicts('198.51.100.60:443', 'www.bunnyboy.com:443')).toEqual({
      '198.51.100.60:443': 'deny',
      'www.bunnyboy.com:443': 'deny',
    })
    expect(await verdicts('static.twilio.com:443')).toEqual({ 'static.twilio.com:443': 'allow' })
    const shared = await probe('www.bunnyboy.com:443')
    expect(shared.verdict).toBe('allow')
    expect((await expectAgreement(shared)).dest_domains).toEqual(['static.twilio.com', 'www.bunnyboy.com'])
    const node = (await callSocket<{ node: string }>(join(product.home, 'run', 'lab.sock'), 'GET', '/pods/dev/centos'))
      .node
    const state = await callSocket<{ mode: string; shared: { ip: string; allowed: string[]; others: string[] }[] }>(
      join(product.home, 'run', `agent-${node}.sock`),
      'GET',
      '/dns',
    )
    expect(state.mode).toBe('delayed')
    expect(state.shared).toContainEqual(
      expect.objectContaining({ ip: '198.51.100.60', allowed: ['static.twilio.com'], others: ['www.bunnyboy.com'] }),
    )
  })

  test('an answer that comes over TCP, because it is too long, opens as well', async () => {
    await apply(dnsOverTcp)
    expect(await verdicts('large.twilio.com:443')).toEqual({ 'large.twilio.com:443': 'allow' })
  })

  test('stage 8: the same by a network set', async () => {
    await apply('s8')
    const answer = await probe('api.twilio.com:443')
    expect(answer.verdict).toBe('allow')
    expect(await expectAgreement(answer)).toMatchObject({
      dest_type: 'ns',
      dest_name_aggr: 'external-apis',
      dest_domains: ['api.twilio.com', 'edge.twilio-api.example'],
      enforced_policies: ['0|security|security.external-domains-access|allow|0'],
    })
    expect(await verdicts('www.google.com:443')).toEqual({ 'www.google.com:443': 'deny' })
  })

  test('stage 9: another name in the set, which does not mean its apex; taken out again, it is closed', async () => {
    await apply('s9')
    expect(await verdicts('www.google.com:443', 'docs.google.com:443', 'google.com:443', 'api.twilio.com:443')).toEqual(
      {
        'www.google.com:443': 'allow',
        'docs.google.com:443': 'allow',
        'google.com:443': 'deny',
        'api.twilio.com:443': 'allow',
      },
    )
    await apply('s8')
    expect(await verdicts('www.google.com:443', 'api.twilio.com:443')).toEqual({
      'www.google.com:443': 'deny',
      'api.twilio.com:443': 'allow',
    })
  })
})
