import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`TCP statistics system test skipped: ${reason}`)

const felix = (spec: string) => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFileAggregationKindForAllowed: 0, ${spec}}
---
`
const traffic = new URL('./flow-traffic.mjs', import.meta.url).pathname
/** Drops each twentieth packet that the client sends, beyond the place where it is looked at. */
const loss = `
table inet loss {
  chain forward {
    type filter hook forward priority 300; policy accept;
    ip saddr CLIENT tcp dport 80 meta length > 1000 numgen inc mod 20 == 7 drop
    ip6 saddr CLIENT6 tcp dport 80 meta length > 1000 numgen inc mod 20 == 7 drop
  }
}
`

describe.skipIf(reason !== null)('statistics of TCP on a real kernel', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let server: ChildProcess

  beforeAll(async () => {
    node = createTestNode(2)
    cluster = createTestCluster()
    await cluster.apply(
      felix('flowLogsCollectTcpStats: true') +
        namespace('shop') +
        node.pods.map(({ ip, ip6 }, index) => pod({ name: `pod${index}`, ips: [ip, ip6] })).join(''),
    )
    running = await cluster.startAgent(node)
    server = startTraffic(at(1), 'serve', '80')
    await once(server.stdout as NodeJS.ReadableStream, 'data')
    const text = loss.replaceAll('CLIENT6', at(0).ip6).replaceAll('CLIENT', at(0).ip)
    const { stderr } = spawnSync('ip', ['netns', 'exec', node.netns, 'nft', '-f', '-'], {
      input: text,
      encoding: 'utf8',
    })
    if (stderr !== '') throw new Error(stderr)
  })

  afterAll(async () => {
    server?.kill()
    await running?.stop()
    node?.remove()
  })

  const at = (index: number) => node.pods[index] as TestPod
  const capability = async () => running.agent.capabilities().tcpStatistics

  /** What `ss` says of the established sockets of a pod. */
  const sockets = (at: TestPod, filter: string) =>
    spawnSync('ip', ['netns', 'exec', at.netns, 'ss', '-Htin', filter], { encoding: 'utf8' }).stdout

  /** Transfers there and back and gives what `ss` says of both sockets once all has come back and before they are closed. */
  async function transfer(address: string, bytes: number): Promise<{ client: string; server: string }> {
    const child = spawn(
      'ip',
      ['netns', 'exec', at(0).netns, process.execPath, traffic, 'keep', address, '80', String(bytes)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    const found = { client: sockets(at(0), 'dport = :80'), server: sockets(at(1), 'sport = :80') }
    child.stdin.end()
    await once(child, 'exit')
    return found
  }

  const number = (text: string, name: RegExp) => Number(name.exec(text)?.[1] ?? 0)

  test.each(['ip', 'ip6'] as const)(
    'what flows say of retransmissions is what the socket says (%s)',
    async (family) => {
      for (let i = 0; i < 50 && !(await capability())?.on; i += 1) await setTimeout(50)
      expect(await capability()).toEqual({ on: true })
      const { client: socket, server: other } = await transfer(at(1)[family], 300_000)
      await setTimeout(100)
      await running.agent.flush()
      const flows = cluster.flows().filter((f) => f.dest_ip === at(1)[family] && f.num_flows_started > 0)
      const client = flows.find(({ reporter }) => reporter === 'src')
      const retransmitted = /retrans:\d+\/(\d+)/
      const retransmissions = number(socket, retransmitted)
      expect(retransmissions).toBeGreaterThan(0)
      expect(client).toMatchObject({
        tcp_total_retransmissions: retransmissions,
        tcp_mean_mss: number(socket, / mss:(\d+)/),
        tcp_lost_packets: expect.toSatisfy((lost: number) => lost > 0),
      })
      expect(client?.tcp_max_smooth_rtt).toBeGreaterThan(0)
      expect(client?.tcp_max_smooth_rtt).toBeGreaterThanOrEqual(client?.tcp_max_min_rtt ?? 0)
      expect(client?.tcp_max_smooth_rtt).toBeLessThan(1_000_000)
      expect(client?.tcp_min_send_congestion_window).toBeGreaterThan(0)
      // The server's socket tells of its own sending.
      expect(flows.find(({ reporter }) => reporter === 'dst')).toMatchObject({
        tcp_total_retransmissions: number(other, retransmitted),
        tcp_mean_mss: number(other, / mss:(\d+)/),
      })
    },
  )

  test('fields are absent, and the reason is told, when nobody asks for them', async () => {
    await cluster.apply(felix('flowLogsCollectTcpStats: false'))
    await running.agent.programmer.settled()
    for (let i = 0; i < 50 && (await capability())?.on; i += 1) await setTimeout(50)
    expect(await capability()).toEqual({ on: false, reason: 'flowLogsCollectTcpStats is not set' })
    const before = cluster.flows().length
    await transfer(at(1).ip, 1000)
    await running.agent.flush()
    const flows = cluster
      .flows()
      .slice(before)
      .filter((f) => f.num_flows_started > 0)
    expect(flows.length).toBe(2)
    for (const event of flows) expect(event).not.toHaveProperty('tcp_mean_mss')
  })
})
