import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callSocket } from '@margay/cli/client'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { footprintOf } from '../harness/footprint.ts'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, runCommand, startProduct, until } from '../harness/product.ts'

/** A name that no file of the product can know. */
const name = (stem: string) => `${stem}-${randomBytes(3).toString('hex')}`
const number = (first: number, count: number) => first + (randomBytes(2).readUInt16BE() % count)

const namespace = name('shop')
const [caller, server, idle, outer] = [name('caller'), name('server'), name('idle'), name('outer')]
const [service, door] = [name('svc'), name('door')]
const [containerPort, servicePort, nodePort] = [number(3000, 900), number(4000, 900), number(30_000, 2700)]

const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: ${namespace}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${caller}, namespace: ${namespace}}
spec:
  selector: {matchLabels: {role: ${caller}}}
  template:
    metadata: {labels: {role: ${caller}}}
    spec:
      containers:
        - name: main
          image: example.com/caller
          env: [{name: UPSTREAM, value: "${service}:${servicePort}"}, {name: MODE, value: fast}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${server}, namespace: ${namespace}}
spec:
  replicas: 2
  selector: {matchLabels: {role: ${server}}}
  template:
    metadata: {labels: {role: ${server}}}
    spec:
      containers: [{name: main, image: example.com/server, ports: [{name: web, containerPort: ${containerPort}}]}]
---
apiVersion: v1
kind: Service
metadata: {name: ${service}, namespace: ${namespace}}
spec: {selector: {role: ${server}}, ports: [{port: ${servicePort}, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: ${door}, namespace: ${namespace}}
spec: {type: NodePort, selector: {role: ${server}}, ports: [{port: ${servicePort}, targetPort: ${containerPort}, nodePort: ${nodePort}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ${idle}, namespace: ${namespace}, labels: {role: ${idle}}}
spec: {containers: [{name: main, image: example.com/idle}]}
`

/** A pod that is not there at first. */
const laterPod = `
apiVersion: v1
kind: Pod
metadata:
  name: ${outer}
  namespace: ${namespace}
  labels: {role: ${outer}}
  annotations: {margay.dev/lab-calls: "http://${service}:${servicePort} every 500ms"}
spec: {containers: [{name: main, image: example.com/outer, ports: [{containerPort: 9000}]}]}
`

/** Admits only the caller to the server. */
const onlyCaller = (policy: string) => `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.${policy}, namespace: ${namespace}}
spec:
  tier: default
  order: 100
  selector: role == '${server}'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: role == '${caller}'}
      destination: {ports: [${containerPort}]}
    - {action: Deny}
`

interface Probe {
  source: string
  destination: string
  protocol: string
  port: number
  verdict: 'allow' | 'deny'
  latencyMs: number
  flow: FlowEvent | null
}

describe.skipIf(!canRunKernelLab)('manifests that the product has never seen', () => {
  const folder = mkdtempSync(join(tmpdir(), 'margay-manifests-'))
  const write = (file: string, text: string) => {
    writeFileSync(join(folder, file), text)
    return join(folder, file)
  }
  let product: Product
  const socket = () => join(product.home, 'run', 'lab.sock')

  beforeAll(async () => {
    const lab = mkdtempSync(join(folder, 'lab-'))
    writeFileSync(join(lab, 'all.yaml'), manifests)
    product = await startProduct({ args: ['--lab', lab], env: { MARGAY_AGENT__FLOW_FLUSH_INTERVAL: '2s' } })
  })
  afterAll(async () => {
    await product?.stop()
    rmSync(folder, { recursive: true, force: true })
    if (product !== undefined) expect(footprintOf(product).namespaces).toEqual([])
  })

  const probe = async (source: string, destination: string, ...options: string[]) => {
    const { code, stdout, stderr } = await product.margay(
      'lab',
      'probe',
      `${namespace}/${source}`,
      destination,
      '-o',
      'json',
      ...options,
    )
    return { code, stderr, answer: stdout === '' ? null : (JSON.parse(stdout) as Probe) }
  }

  test('come up: pods on nodes with addresses, two replicas, the call that the environment names', async () => {
    const { pods } = JSON.parse((await product.margay('lab', 'status', '-o', 'json')).stdout) as {
      pods: { namespace: string; name: string; node: string; ip: string; ports: string[]; calls: string[] }[]
    }
    const own = pods.filter((pod) => pod.namespace === namespace)
    expect(own.map((pod) => pod.name.split('-', 2).join('-')).sort()).toEqual([caller, idle, server, server].sort())
    expect(new Set(own.map(({ ip }) => ip)).size).toBe(4)
    expect(new Set(own.map(({ node }) => node))).toEqual(new Set(['node1', 'node2']))
    const callers = own.filter((pod) => pod.name.startsWith(caller))
    expect(callers.map(({ calls }) => calls)).toEqual([[`tcp://${service}:${servicePort}`]])
    const { stdout } = await product.margay('get', 'pods', '-n', namespace, '-o', 'name')
    expect(stdout.trim().split('\n')).toHaveLength(4)
  })

  test('their edges show as flows at both ends, with the service and the rule that let them pass', async () => {
    interface Row {
      reporter: string
      rules: string[]
      service: string
      port: number
    }
    // Only a node that translated the address knows the service: always the source's, the destination's for its own pods.
    const seen = () =>
      product.sql<Row>(
        `SELECT reporter, max(dest_service_name) AS service, groupUniqArrayArray(enforced_policies) AS rules, any(dest_port) AS port FROM flows WHERE source_namespace = '${namespace}' AND source_name_aggr LIKE '${caller}-%' AND dest_name_aggr LIKE '${server}-%' AND action = 'allow' GROUP BY reporter ORDER BY reporter`,
      )
    let rows: Row[] = []
    await until(
      async () => {
        rows = await seen()
        return rows.length === 2
      },
      20_000,
      () => `no flows of the edge: ${JSON.stringify(rows)}`,
    )
    const rules = [`0|__PROFILE__|__PROFILE__.kns.${namespace}|allow|0`]
    expect(rows).toEqual([
      { reporter: 'dst', rules, service: expect.any(String), port: containerPort },
      { reporter: 'src', rules, service, port: containerPort },
    ])
  })

  test('a probe answers in a form that scripts can read, and by its exit code', async () => {
    const { code, answer } = await probe(idle, `${namespace}/${service}:${servicePort}`)
    expect(code).toBe(0)
    expect(answer).toEqual({
      source: `${namespace}/${idle}`,
      destination: `${namespace}/${service}`,
      protocol: 'tcp',
      port: servicePort,
      verdict: 'allow',
      latencyMs: expect.any(Number),
      flow: expect.objectContaining({ action: 'allow', source_namespace: namespace, dest_port: containerPort }),
    })
    for (const [source, destination] of [
      [name('nobody'), `${namespace}/${service}:${servicePort}`],
      [idle, `${namespace}/${name('nothing')}:1`],
      [idle, 'no destination'],
    ] as const) {
      const refused = await probe(source, destination)
      expect({ ...refused, code: refused.code >= 64 }).toEqual({ code: true, stderr: expect.any(String), answer: null })
    }
  })

  test('lab exec runs an ordinary program in the network of a pod', async () => {
    const exec = (...command: string[]) => product.margay('lab', 'exec', `${namespace}/${idle}`, '--', ...command)
    const answered = await exec('curl', '-sm5', `http://${service}:${servicePort}`)
    expect(answered.code).toBe(0)
    expect(answered.stdout).toContain(server)
    const { stdout } = await exec('ip', '-4', '-o', 'addr', 'show', 'dev', 'eth0')
    const { ip } = await callSocket<{ ip: string }>(socket(), 'GET', `/pods/${namespace}/${idle}`)
    expect(stdout).toContain(`${ip}/32`)
    expect((await exec('sh', '-c', 'exit 7')).code).toBe(7)
  })

  test('the node port answers on every node, from outside the cluster and from a pod', async () => {
    for (const ip of ['172.18.0.2', '172.18.0.3']) {
      const url = `http://${ip}:${nodePort}`
      const outside = await runCommand('ip', ['netns', 'exec', `${product.labId}-internet`, 'curl', '-sm5', url])
      expect(outside, url).toMatchObject({ code: 0, stdout: expect.stringContaining(server) })
      expect(await probe(idle, `${ip}:${nodePort}`, '--wait', '0')).toMatchObject({ code: 0 })
    }
  })

  test('a policy changes the verdict of a probe within two seconds of apply, and its removal changes it back', async () => {
    const policy = name('only')
    const file = write('policy.yaml', onlyCaller(policy))
    const destination = `${namespace}/${service}:${servicePort}`
    for (const [verb, verdict] of [
      ['apply', 'deny'],
      ['delete', 'allow'],
      ['apply', 'deny'],
    ] as const) {
      expect(await product.margay(verb, '-f', file)).toMatchObject({ code: 0 })
      const settled = await settlingOf(destination, verdict)
      expect(settled, `${verb}: ${settled} ms until ${verdict}`).toBeLessThan(2000)
    }
    const denied = await probe(idle, destination)
    expect(denied.code).toBe(1)
    expect(denied.answer).toMatchObject({ verdict: 'deny', flow: { action: 'deny', reporter: 'dst' } })
    const rule = `0|default|${namespace}/default.${policy}|deny|1`
    expect(denied.answer?.flow?.enforced_policies).toEqual([rule])
    expect((await probe(caller, destination)).answer).toMatchObject({
      verdict: 'allow',
      flow: { enforced_policies: [`0|default|${namespace}/default.${policy}|allow|0`] },
    })
    const rows = () =>
      product.sql<{ source: string; rules: string[] }>(
        `SELECT DISTINCT source_name_aggr AS source, enforced_policies AS rules FROM flows WHERE action = 'deny' AND dest_namespace = '${namespace}' AND source_name_aggr = '${idle}'`,
      )
    await until(
      async () => (await rows()).length > 0,
      15_000,
      () => 'no denied flow in the table',
    )
    expect(await rows()).toEqual([{ source: idle, rules: [rule] }])
  })

  /** Probes every 50 ms for two and a half seconds; the milliseconds after which every probe met the verdict. */
  async function settlingOf(destination: string, verdict: string): Promise<number> {
    const started = performance.now()
    const body = { source: `${namespace}/${idle}`, destination, waitFlowMs: 0 }
    const probes: Promise<{ at: number; met: boolean }>[] = []
    while (performance.now() - started < 2500) {
      const at = performance.now() - started
      probes.push(
        callSocket<Probe>(socket(), 'POST', '/probe', body).then((answer) => ({ at, met: answer.verdict === verdict })),
      )
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const answers = await Promise.all(probes)
    const lastOld = answers.findLastIndex(({ met }) => !met)
    return answers[lastOld + 1]?.at ?? Number.POSITIVE_INFINITY
  }

  test('a pod comes and goes while the lab runs', async () => {
    const file = write('later.yaml', laterPod)
    const added = await product.margay('lab', 'add', '-f', file)
    expect(added).toMatchObject({ code: 0, stdout: `pod ${namespace}/${outer} added\n` })
    const from = await probe(outer, `${namespace}/${service}:${servicePort}`)
    expect(from.answer).toMatchObject({ verdict: 'deny', flow: { source_name: expect.stringMatching(outer) } })
    expect((await probe(idle, `${namespace}/${outer}:9000`)).answer).toMatchObject({ verdict: 'allow' })
    const { calls } = await callSocket<{ calls: unknown[] }>(socket(), 'GET', `/pods/${namespace}/${outer}`)
    expect(calls).toMatchObject([{ url: `http://${service}:${servicePort}`, everyMs: 500 }])
    expect(footprintOf(product).namespaces).toContain(`${product.labId}-${namespace}.${outer}`)

    expect(await product.margay('lab', 'remove', '-f', file)).toMatchObject({
      code: 0,
      stdout: `pod ${namespace}/${outer} removed\n`,
    })
    expect((await probe(outer, `${namespace}/${service}:${servicePort}`)).code).toBeGreaterThanOrEqual(64)
    expect(footprintOf(product).namespaces).not.toContain(`${product.labId}-${namespace}.${outer}`)
    expect((await product.margay('get', 'pods', '-n', namespace, '-o', 'name')).stdout).not.toContain(outer)
    expect((await probe(caller, `${namespace}/${service}:${servicePort}`)).code).toBe(0)
  })
})
