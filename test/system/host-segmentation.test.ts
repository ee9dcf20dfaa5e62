import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callSocket } from '@margay/cli/client'
import { type Cluster, createCluster, evaluate, type FlowEvent, type Packet, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRunKernelLab } from '../harness/machine.ts'
import { type Product, startProduct, until } from '../harness/product.ts'

/** Machines outside: that of an administrator, and anybody else's. */
const admin = '198.51.100.200'
const other = '203.0.113.66'
const nodes = { node1: '172.18.0.2', node2: '172.18.0.3' } as const
const nodePort = 30080

/** A shop front behind a port of every node, and a pod that is no part of it. */
const manifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend, namespace: default}
spec:
  selector: {matchLabels: {app: frontend}}
  template:
    metadata: {labels: {app: frontend}}
    spec:
      nodeName: node1
      containers: [{name: server, image: example.com/frontend, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: frontend-nodeport, namespace: default}
spec: {type: NodePort, selector: {app: frontend}, ports: [{port: 8080, targetPort: 8080, nodePort: ${nodePort}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: client}}
spec: {nodeName: node2, containers: [{name: main, image: example.com/client}]}
`

const tiers = ['security', 'platform', 'application']
/** Tiers that leave everything that they do not decide to the next one: also what concerns host endpoints. */
const passing = tiers.map(
  (tier, index) => `---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: ${tier}}
spec: {order: ${400 + 100 * index}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${tier}.pass-to-next-tier}
spec:
  tier: ${tier}
  order: 2000
  selector: all()
  types: [Ingress, Egress]
  ingress: [{action: Pass}]
  egress: [{action: Pass}]
`,
)
/** What the controllers make of the nodes when they are told to: one endpoint for all interfaces of each, open unless policy says otherwise. */
const hostEndpoints = Object.entries(nodes).map(
  ([node, ip]) => `---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: ${node}-auto-hep, labels: {kubernetes.io/hostname: ${node}, nodes: workers}}
spec: {node: ${node}, interfaceName: '*', expectedIPs: [${ip}], profiles: [projectcalico-default-allow]}
`,
)
const felix = (failsafes: string) => `---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  flowLogsFlushInterval: 1s
  flowLogsFileAggregationKindForAllowed: 1
  flowLogsPolicyScope: AllPolicies
  ${failsafes}
---
`
const nodePortAccess = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.frontend-nodeport-access}
spec:
  tier: security
  order: 100
  selector: nodes == "workers"
  preDNAT: true
  applyOnForward: true
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: TCP, source: {nets: [${admin}/32]}, destination: {ports: [${nodePort}]}}
    - {action: Deny, protocol: TCP, destination: {ports: [${nodePort}]}}
`
/** Takes SSH from the ports that are open whatever policy says. */
const noFailsafeSsh = `failsafeInboundHostPorts: [{protocol: udp, port: 68}, {protocol: tcp, port: 179}, {protocol: tcp, port: 6443}]`
const sshAccess = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.ssh-access}
spec:
  tier: security
  order: 110
  selector: nodes == "workers"
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, source: {nets: [${admin}/32]}, destination: {ports: [22]}}]
`
/** What was missing. */
const sshForNobodyElse = sshAccess
  .replace('ssh-access', 'ssh-for-nobody-else')
  .replace('order: 110', 'order: 120')
  .replace(
    `action: Allow, protocol: TCP, source: {nets: [${admin}/32]}, destination`,
    'action: Deny, protocol: TCP, destination',
  )

const policyKinds = ['tiers', 'globalnetworkpolicies', 'globalnetworksets', 'hostendpoints']

interface Answer {
  readonly verdict: 'allow' | 'deny'
  readonly error?: string
  readonly flow: FlowEvent | null
}

describe.skipIf(!canRunKernelLab)('nodes that are segmented like pods', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'margay-hosts-'))
  let product: Product
  beforeAll(async () => {
    const lab = mkdtempSync(join(folder, 'lab-'))
    writeFileSync(join(lab, 'all.yaml'), manifests)
    product = await startProduct({ args: ['--lab', lab] })
    await apply('set-up', [...passing, ...hostEndpoints, felix('')].join(''))
  }, 120_000)
  afterAll(async () => {
    await product?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function apply(name: string, yaml: string): Promise<void> {
    const file = join(folder, `${name}.yaml`)
    writeFileSync(file, yaml)
    expect(await product.margay('apply', '-f', file)).toMatchObject({ code: 0, stderr: '' })
  }

  /** One connection from a machine outside or from the pod; `waitFlowMs` for its record. */
  const probe = (from: string, to: string, waitFlowMs = 8000) =>
    callSocket<Answer>(join(product.home, 'run', 'lab.sock'), 'POST', '/probe', {
      source: from === 'client' ? 'default/client' : `internet/${from}`,
      destination: to,
      waitFlowMs,
    })

  /** Everything that decides, as the API has it. */
  async function clusterNow(): Promise<Cluster> {
    const cluster = createCluster()
    for (const plural of ['namespaces', 'nodes', 'pods', 'services', 'felixconfigurations', ...policyKinds]) {
      const answer = await fetch(`${product.url}/v1/resources/${plural}`)
      const { items } = (await answer.json()) as { items: Resource[] }
      for (const resource of items) cluster.apply(resource)
    }
    return cluster
  }

  /** The packet as its destination sees it, from the pod of the shop front where it goes there. */
  function packetOf(cluster: Cluster, from: string, ip: string, port: number): Packet {
    const podIp = (app: string) => [...cluster.endpoints()].find(({ labels }) => labels.app === app)?.ips[0] as string
    const packet = { sourceIp: from === 'client' ? podIp('client') : from, protocol: 6, sourcePort: 40_000 }
    return port === nodePort
      ? { ...packet, destinationIp: podIp('frontend'), destinationPort: 8080, addressed: { ip, port } }
      : { ...packet, destinationIp: ip, destinationPort: port }
  }

  type Row = readonly [from: string, port: number, verdict: 'allow' | 'deny']
  /** Probes every node, and asks the evaluator about the same. */
  async function expectTable(rows: readonly Row[]): Promise<void> {
    const cluster = await clusterNow()
    const asked = rows.flatMap(([from, port, verdict]) =>
      Object.values(nodes).map((ip) => ({ from, port, ip, verdict })),
    )
    const seen = await Promise.all(
      asked.map(async ({ from, port, ip }) => {
        const { verdict } = await probe(from, `${ip}:${port}`, 0)
        return [from, ip, port, verdict, evaluate(cluster, packetOf(cluster, from, ip, port)).verdict].join(' ')
      }),
    )
    expect(seen).toEqual(asked.map(({ from, port, ip, verdict }) => [from, ip, port, verdict, verdict].join(' ')))
  }

  /** Probes until the verdict is as wanted. */
  const becomes = (verdict: Answer['verdict'], from: string, to: string) =>
    until(
      async () => (await probe(from, to, 0)).verdict === verdict,
      15_000,
      () => `${from} to ${to} does not become ${verdict}`,
    )

  test('before any policy of theirs, ports of the node and node ports are open to everybody', async () => {
    await until(
      async () => (await probe(other, `${nodes.node1}:10250`)).flow?.dest_name === 'node1-auto-hep',
      20_000,
      () => 'host endpoints tell of nothing',
    )
    await expectTable([
      [admin, nodePort, 'allow'],
      [other, nodePort, 'allow'],
      ['client', nodePort, 'allow'],
      [admin, 22, 'allow'],
      [other, 22, 'allow'],
      [admin, 10250, 'allow'],
      [other, 10250, 'allow'],
    ])
  })

  test('a policy before DNAT closes a node port to all but one address, and says so', async () => {
    await apply('node-port', nodePortAccess)
    for (const ip of Object.values(nodes)) await becomes('deny', other, `${ip}:${nodePort}`)
    await expectTable([
      [admin, nodePort, 'allow'],
      [other, nodePort, 'deny'],
      ['client', nodePort, 'deny'],
      [admin, 22, 'allow'],
      [other, 22, 'allow'],
      [admin, 10250, 'allow'],
      [other, 10250, 'allow'],
    ])
    const denied = await probe(other, `${nodes.node1}:${nodePort}`)
    expect(denied).toMatchObject({
      verdict: 'deny',
      error: 'timed out',
      flow: {
        action: 'deny',
        reporter: 'dst',
        source_type: 'net',
        source_ip: other,
        source_name_aggr: 'pub',
        dest_type: 'hep',
        dest_name: 'node1-auto-hep',
        dest_name_aggr: 'node1',
        dest_port: nodePort,
        enforced_policies: ['0|security|security.frontend-nodeport-access|deny|1'],
      },
    })
    const allowed = await probe(admin, `${nodes.node1}:${nodePort}`)
    expect(allowed.flow).toMatchObject({
      action: 'allow',
      reporter: 'dst',
      dest_type: 'wep',
      dest_port: 8080,
      dest_service_name: 'frontend-nodeport',
      transit_policies: ['0|security|security.frontend-nodeport-access|allow|0'],
    })
  })

  test('an Allow for SSH alone restricts nobody: the tiers pass, and the profile allows', async () => {
    await apply('ssh', felix(noFailsafeSsh) + sshAccess)
    let flow: FlowEvent | null = null
    await until(
      async () => {
        flow = (await probe(admin, `${nodes.node1}:22`)).flow
        return flow?.enforced_policies.at(-1) === '0|security|security.ssh-access|allow|0'
      },
      20_000,
      () => `policy does not decide about port 22: ${JSON.stringify(flow)}`,
    )
    await expectTable([
      [admin, 22, 'allow'],
      // Not what the policy's name promises. This is the trap.
      [other, 22, 'allow'],
      [admin, 10250, 'allow'],
      [other, 10250, 'allow'],
      [other, nodePort, 'deny'],
    ])
    expect((await probe(other, `${nodes.node1}:22`)).flow).toMatchObject({
      action: 'allow',
      dest_type: 'hep',
      enforced_policies: [
        ...tiers.map((tier, index) => `${index}|${tier}|${tier}.pass-to-next-tier|pass|0`),
        '3|__PROFILE__|__PROFILE__.projectcalico-default-allow|allow|0',
      ],
    })
  })

  test('a Deny after it is what closes SSH to others', async () => {
    await apply('ssh-closed', sshForNobodyElse)
    for (const ip of Object.values(nodes)) await becomes('deny', other, `${ip}:22`)
    await expectTable([
      [admin, 22, 'allow'],
      [other, 22, 'deny'],
      [other, 10250, 'allow'],
    ])
  })

  test('an ordinary program outside meets the same, and who changed what is on record', async () => {
    const curl = (address: string) =>
      product.margay(
        'lab',
        'exec',
        'internet',
        '--',
        ...['curl', '-sm2', '--interface', address],
        `http://${nodes.node1}:${nodePort}`,
      )
    expect(await curl(admin)).toMatchObject({ code: 0, stdout: expect.stringContaining('frontend') })
    // 28: timed out.
    expect(await curl(other)).toMatchObject({ code: 28 })
    const changes = () =>
      product.sql<{ name: string }>(
        `SELECT DISTINCT concat(objectRef_resource, '/', objectRef_name) AS name FROM audit WHERE objectRef_name IN ('default', 'security.ssh-access', 'security.frontend-nodeport-access') AND objectRef_resource != 'tiers' ORDER BY name`,
      )
    await until(
      async () => (await changes()).length >= 3,
      10_000,
      () => 'no audit',
    )
    expect((await changes()).map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'felixconfigurations/default',
        'globalnetworkpolicies/security.frontend-nodeport-access',
        'globalnetworkpolicies/security.ssh-access',
      ]),
    )
  })
})
