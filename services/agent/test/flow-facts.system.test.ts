import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import readline from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`flow facts system test skipped: ${reason}`)

const base = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFileAggregationKindForAllowed: 0}
---
`
const preview = `
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: nothing-out}
spec:
  selector: app == 'client'
  types: [Egress]
  egress: [{action: Deny}]
---
`

describe.skipIf(reason !== null)('what flows say about a connection that goes on', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let server: ChildProcess
  let client: ChildProcess
  let echoes: AsyncIterator<string>

  beforeAll(async () => {
    node = createTestNode(1)
    const { ip, ip6 } = at()
    cluster = createTestCluster()
    await cluster.apply(base + namespace('shop') + pod({ name: 'client', ips: [ip, ip6], labels: '{app: client}' }))
    running = await cluster.startAgent(node)
    const nat = '{ type nat hook postrouting priority 100; policy accept; }'
    node.run('nft', 'add', 'table', 'ip', 'beyond')
    node.run('nft', 'add', 'chain', 'ip', 'beyond', 'out', nat)
    node.run('nft', `add rule ip beyond out oifname ${node.uplink.interfaceName} masquerade random`)
    server = startTraffic(node.outside, 'serve', '80')
    await once(server.stdout as NodeJS.ReadableStream, 'data')
    client = startTraffic(at(), 'hold', node.outside.ip, '80')
    echoes = readline.createInterface(client.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
    expect((await echoes.next()).value).toBe('connected')
  })

  afterAll(async () => {
    for (const child of [client, server]) child?.kill()
    await running?.stop()
    node?.remove()
  })

  const at = () => node.pods[0] as TestPod

  /** Sends a line there and back and gives what is told about it. */
  async function talk() {
    client.stdin?.write('hello\n')
    expect((await echoes.next()).value).toBe('hello')
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster
      .flows()
      .slice(before)
      .filter(({ dest_ip }) => dest_ip === node.outside.ip)
  }

  test('the port that it has beyond the node is told', async () => {
    const flows = await talk()
    const listing = node.run('conntrack', '-L', '-p', 'tcp', '--orig-dst', node.outside.ip)
    const port = Number([...listing.matchAll(/dport=(\d+)/g)][1]?.[1])
    expect(port).toBeGreaterThan(0)
    expect(flows).toMatchObject([
      { reporter: 'src', num_flows: 1, num_flows_started: 1, num_flows_completed: 0, nat_outgoing_ports: [port] },
    ])
    expect(flows[0]?.pending_policies).toEqual(flows[0]?.enforced_policies)
  })

  test('staged policy that comes later is pending for it, what let it through stays', async () => {
    await cluster.apply(preview)
    await running.agent.programmer.settled()
    expect(await talk()).toMatchObject([
      {
        action: 'allow',
        num_flows_started: 0,
        enforced_policies: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'],
        pending_policies: ['0|default|staged:default.nothing-out|deny|0'],
      },
    ])
  })

  test('its end is told once', async () => {
    client.kill()
    await once(client, 'exit')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const before = cluster.flows().length
    for (let i = 0; i < 3; i += 1) await running.agent.flush()
    const flows = cluster.flows().slice(before)
    expect(flows.reduce((sum, { num_flows_completed }) => sum + num_flows_completed, 0)).toBe(1)
    expect(flows.reduce((sum, { num_flows_started }) => sum + num_flows_started, 0)).toBe(0)
  })
})
