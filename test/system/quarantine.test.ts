import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callSocket } from '@margay/cli/client'
import { createCluster, evaluate, type FlowEvent, formatTrace, protocolNumber, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'
import { startWebhook, type WebhookHarness } from '../harness/webhook.ts'

/** A shop front in three zones; what logs is in none. */
const zones: Readonly<Record<string, string | null>> = {
  frontend: 'dmz',
  microservice1: 'trusted',
  microservice2: 'trusted',
  backend: 'restricted',
  logging: null,
}
const workload = ([name, zone]: [string, string | null]) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: storefront}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}${zone === null ? '' : `, fw-zone: ${zone}`}}}
    spec: {containers: [{name: main, image: example.com/${name}, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: storefront}
spec: {selector: {app: ${name}}, ports: [{port: 80, targetPort: 8080}]}
`
/** What nobody deployed on purpose: it tries everything, ten times a second, and the outside from time to time. */
const rogue = `---
apiVersion: v1
kind: Pod
metadata:
  name: rogue
  namespace: storefront
  labels: {app: rogue}
  annotations:
    margay.dev/lab-calls: "${Object.keys(zones)
      .map((name) => `http://${name} every 100ms`)
      .join('; ')}; http://www.bunnyboy.com every 15s"
spec: {containers: [{name: main, image: example.com/rogue}]}
`
const manifests = `apiVersion: v1
kind: Namespace
metadata: {name: storefront, labels: {twilio: allowed}}
${Object.entries(zones).map(workload).join('')}${rogue}`

const allow = (from: 'source' | 'destination', selector: string) =>
  `{action: Allow, protocol: TCP, ${from}: {selector: '${selector}'}}`
const zonePolicy = (zone: string, sources: string, destinations: string) => `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.${zone}, namespace: storefront}
spec:
  tier: default
  order: 500
  selector: fw-zone == "${zone}"
  types: [Ingress, Egress]
  ingress: [${allow('source', sources)}, {action: Deny}]
  egress: [${allow('destination', destinations)}, {action: Deny}]
`
const policies = `apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
# Records with addresses, so that they can be held against the evaluator.
spec: {flowLogsFlushInterval: 2s, flowLogsFileAggregationKindForAllowed: 1}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 400, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: platform}
spec: {order: 500, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.quarantine}
spec:
  tier: security
  order: 1
  selector: quarantine == "true"
  types: [Ingress, Egress]
  ingress: [{action: Log}, {action: Deny}]
  egress: [{action: Log}, {action: Deny}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside, labels: {type: public}}
spec: {nets: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: platform.allow-kube-dns}
spec:
  tier: platform
  order: 100
  types: [Egress]
  egress:
    - {action: Allow, protocol: UDP, destination: {selector: k8s-app == "kube-dns", ports: [53]}}
    - {action: Allow, protocol: TCP, destination: {selector: k8s-app == "kube-dns", ports: [53]}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: platform.twilio-integration}
spec:
  tier: platform
  order: 200
  namespaceSelector: twilio == "allowed"
  types: [Egress]
  egress:
    - {action: Allow, protocol: TCP, destination: {domains: ["*.twilio.com"], ports: [443]}}
    - {action: Deny, destination: {selector: type == "public"}}
    - {action: Pass}
${zonePolicy('dmz', 'type == "public"', 'fw-zone == "trusted" || app == "logging"')}
${zonePolicy('trusted', 'fw-zone in {"dmz", "trusted"}', 'fw-zone in {"trusted", "restricted"} || app == "logging"')}
${zonePolicy('restricted', 'fw-zone == "trusted"', 'app == "logging"')}
`
const alert = `
apiVersion: projectcalico.org/v3
kind: GlobalAlert
metadata: {name: rogue-workload}
spec:
  description: A workload that is refused again and again
  summary: '\${source_namespace}/\${source_name_aggr} is refused by its neighbours'
  severity: 90
  period: 1m
  lookback: 1m
  dataSet: flows
  query: reporter = dst AND action = deny AND source_type = wep
  aggregateBy: [source_namespace, source_name_aggr]
  metric: sum
  field: num_flows
  condition: gt
  threshold: 50
`

type Outcome = 'allow' | 'deny at source' | 'deny at destination'
interface Answer {
  readonly verdict: 'allow' | 'deny'
  readonly error?: string
  readonly flow: FlowEvent | null
}

describe.skipIf(!canRunKernelLab)('a rogue workload, and quarantine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'margay-quarantine-'))
  let product: Product
  let hook: WebhookHarness
  let arm: () => void
  const armed = new Promise<void>((resolve) => {
    arm = resolve
  })
  /** When the zones were seen to be in force, unix ms. */
  let enforcedAt: number
  /** When the program behind the webhook set the label, unix ms. */
  let labelledAt: number | null = null

  beforeAll(async () => {
    writeFileSync(join(folder, 'storefront.yaml'), manifests)
    writeFileSync(join(folder, 'token'), 'of-the-responder')
    hook = await startWebhook(async ({ record }) => {
      await armed
      const { source_namespace: namespace, source_name_aggr: name } = record as Record<string, string>
      await quarantine(`${namespace}/${name}`, true)
      labelledAt ??= Date.now()
    })
    const receiver = { type: 'webhook', name: 'responder', url: hook.url, tokenFile: join(folder, 'token') }
    product = await startProduct({
      args: ['--lab', folder],
      env: { MARGAY_ALERTS__RECEIVERS: JSON.stringify([receiver]) },
    })
    await apply(policies)
    await apply(alert)
  })
  afterAll(async () => {
    await product?.stop()
    await hook?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function ask(method: string, path: string, body?: string | Resource) {
    const response = await fetch(`${product.url}/v1/${path}`, {
      method,
      headers: {
        'x-margay-user': 'responder',
        ...(body !== undefined && {
          'content-type': typeof body === 'string' ? 'application/yaml' : 'application/json',
        }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const answer = (await response.json()) as { items?: Resource[] }
    expect(response.status, JSON.stringify(answer)).toBeLessThan(300)
    return answer
  }
  const apply = (text: string) => ask('POST', 'apply', text)

  /** Sets or takes away the label of a pod, as the function behind a webhook would. */
  async function quarantine(pod: string, isOn: boolean): Promise<void> {
    const [namespace, name] = pod.split('/')
    const path = `resources/pods/${name}?namespace=${namespace}`
    const resource = (await ask('GET', path)) as unknown as Resource
    const { quarantine: _, ...labels } = resource.metadata.labels ?? {}
    await ask('PUT', path, {
      ...resource,
      metadata: { ...resource.metadata, labels: { ...labels, ...(isOn && { quarantine: 'true' }) } },
    })
  }

  const socket = (of: string) => join(product.home, 'run', `${of}.sock`)
  const probe = (destination: string, waitFlowMs = 8000) =>
    callSocket<Answer>(socket('lab'), 'POST', '/probe', {
      source: 'storefront/rogue',
      destination,
      waitFlowMs,
    })
  const service = (name: string) => `storefront/${name}:80`
  const verdictOf = async (destination: string) => (await probe(destination, 0)).verdict
  /** The pod's address, which needs no look-up. */
  const addressOf = async (name: string) => {
    const { ip } = await callSocket<{ ip: string }>(socket('lab'), 'GET', `/pods/storefront/${name}`)
    return `${ip}:8080`
  }

  async function clusterNow() {
    const cluster = createCluster()
    const plurals =
      'namespaces serviceaccounts nodes pods services endpointslices globalnetworksets tiers globalnetworkpolicies networkpolicies'
    for (const plural of plurals.split(' '))
      for (const resource of (await ask('GET', `resources/${plural}`)).items ?? []) cluster.apply(resource)
    return cluster
  }

  /** Probes: kernel, deciding record and evaluator must say the same. */
  async function expectOutcomes(expected: Readonly<Record<string, Outcome>>): Promise<Map<string, FlowEvent>> {
    const names = Object.keys(expected)
    const answers = await Promise.all(names.map((name) => probe(name)))
    const outcomes = answers.map(({ verdict, flow }) => {
      if (flow === null || flow.action !== verdict) return 'no record'
      return verdict === 'allow' ? 'allow' : `deny at ${flow.reporter === 'src' ? 'source' : 'destination'}`
    })
    expect(Object.fromEntries(names.map((name, i) => [name, outcomes[i]]))).toEqual(expected)
    const cluster = await clusterNow()
    const flows = new Map(answers.map(({ flow }, i) => [names[i] as string, flow as FlowEvent]))
    for (const [name, flow] of flows) {
      const { egress, ingress } = evaluate(cluster, {
        sourceIp: flow.source_ip as string,
        destinationIp: flow.dest_ip as string,
        protocol: protocolNumber(flow.proto) as number,
        sourcePort: 40_000,
        destinationPort: flow.dest_port,
      })
      const trace = ((flow.reporter === 'src' ? egress : ingress)?.trace ?? []).map(formatTrace)
      expect(flow.enforced_policies, name).toEqual(trace)
    }
    return flows
  }
  const free: Readonly<Record<string, Outcome>> = {
    [service('frontend')]: 'deny at destination',
    [service('microservice1')]: 'deny at destination',
    [service('microservice2')]: 'deny at destination',
    [service('backend')]: 'deny at destination',
    [service('logging')]: 'allow',
    'www.bunnyboy.com:80': 'deny at source',
  }

  /** Within five seconds nothing gets out any more: neither to who was open to it, nor to the name server. */
  async function expectSilence(since: number): Promise<void> {
    const logging = await addressOf('logging')
    await until(
      async () => (await verdictOf(logging)) === 'deny',
      5000,
      () => 'the quarantined pod still reaches logging after 5 s',
    )
    expect(Date.now() - since).toBeLessThan(7000)
    const frontend = await addressOf('frontend')
    const flows = await expectOutcomes({ [logging]: 'deny at source', [frontend]: 'deny at source' })
    for (const { enforced_policies } of flows.values())
      expect(enforced_policies).toEqual(['0|security|security.quarantine|deny|1'])
    expect(await probe('www.bunnyboy.com:80', 0)).toMatchObject({
      verdict: 'deny',
      error: expect.stringMatching(/name server .* does not answer/),
    })
  }

  test('its neighbours refuse it, but for the one in no zone; the outside is closed, names are not', async () => {
    await until(
      async () => (await verdictOf(service('frontend'))) === 'deny',
      10_000,
      () => 'the zones are not enforced',
    )
    // What passed before is told before, on both nodes.
    for (const path of ['/settle', '/flush'])
      await Promise.all(['node1', 'node2'].map((node) => callSocket(socket(`agent-${node}`), 'POST', path, {})))
    enforcedAt = Date.now()
    const flows = await expectOutcomes(free)
    expect(flows.get(service('microservice1'))?.enforced_policies.at(-1)).toMatch(
      /\|default\|storefront\/default\.trusted\|deny\|1$/,
    )
    expect(flows.get('www.bunnyboy.com:80')?.enforced_policies).toEqual([
      expect.stringMatching(/^0\|platform\|platform\.twilio-integration\|deny\|1$/),
    ])
  })

  test('the records count its refusals by policy and rule, some ten a second from each', async () => {
    const countedBy = (policy: string) =>
      product.sql<{ at: string; refused: number; seconds: number }>(
        `SELECT dest_name_aggr AS at, toUInt32(sum(num_flows_started)) AS refused, toUInt32(dateDiff('second', min(start_time), max(end_time))) AS seconds
         FROM flows WHERE source_name_aggr = 'rogue' AND action = 'deny' AND reporter = 'dst'
         AND arrayExists(hit -> hit LIKE '%|default|storefront/default.${policy}|deny|1', enforced_policies) GROUP BY at ORDER BY at`,
      )
    const many = async () => (await countedBy('trusted')).filter(({ refused }) => refused >= 50)
    await until(
      async () => (await many()).length === 2,
      30_000,
      () => 'the refusals are not counted',
    )
    const counts = await many()
    expect(counts.map(({ at }) => at.replace(/-[a-z0-9]+-\*$/, ''))).toEqual(['microservice1', 'microservice2'])
    for (const { refused, seconds } of counts) expect(refused / seconds).toBeGreaterThan(3)
    for (const policy of ['dmz', 'restricted']) expect((await countedBy(policy))[0]?.refused).toBeGreaterThan(10)
    const passed = await product.sql<{ at: string }>(
      `SELECT DISTINCT dest_name_aggr AS at FROM flows WHERE source_name_aggr = 'rogue' AND dest_type = 'wep' AND action = 'allow'
       AND reporter = 'dst' AND num_flows_started > 0 AND start_time > fromUnixTimestamp64Milli(${enforcedAt}) ORDER BY at`,
    )
    expect(passed.map(({ at }) => at.replace(/-[a-z0-9]+-\*$/, ''))).toEqual(['kube-dns', 'logging'])
  })

  test('an alert tells a program by webhook, which sets the label of quarantine: the pod is silent within 5 s', async () => {
    arm()
    await until(
      () => labelledAt !== null,
      100_000,
      () => `the webhook was not told:\n${product.screen()}`,
    )
    await expectSilence(labelledAt as unknown as number)
    const { headers, body } = hook.calls[0] as (typeof hook.calls)[number]
    expect(headers.authorization).toBe('Bearer of-the-responder')
    expect(body).toMatchObject({
      origin: 'rogue-workload',
      severity: 90,
      description: 'storefront/rogue is refused by its neighbours',
      record: { source_namespace: 'storefront', source_name_aggr: 'rogue' },
    })
    expect(new Set(hook.calls.map((call) => call.body.id)).size).toBe(1)
    const lines = await product.sql<{ user: string }>(
      "SELECT user_username AS user FROM audit WHERE objectRef_resource = 'pods' AND objectRef_name = 'rogue' AND verb IN ('update', 'patch')",
    )
    expect(lines.map(({ user }) => user)).toContain('responder')
  })

  test('without the label it is as before, and with it again silent', async () => {
    await quarantine('storefront/rogue', false)
    await until(
      async () => (await verdictOf(service('logging'))) === 'allow',
      5000,
      () => 'the pod does not reach logging again',
    )
    await expectOutcomes(free)
    const since = Date.now()
    await quarantine('storefront/rogue', true)
    await expectSilence(since)
  })
})
