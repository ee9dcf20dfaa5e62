import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`flow loss system test skipped: ${reason}`)

const policy = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {flowLogsFileAggregationKindForAllowed: 1, flowLogsFileAggregationKindForDenied: 2}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: echo-only}
spec:
  types: [Egress]
  selector: app == 'client'
  egress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
---
`
/** Counts what reaches the node just before policy: a flood may lose packets on the way as well. */
const counter = `
table inet arrivals {
  counter datagrams {}
  chain forward {
    type filter hook forward priority -10; policy accept;
    meta l4proto udp counter name datagrams
  }
}
`
const traffic = new URL('./flow-traffic.mjs', import.meta.url).pathname
const flood = 20_000
const connections = 30
const bytes = 50_000

/** Originals of `conntrack -L` lines: packets and bytes of each direction. */
function countersOf(listing: string): { sent: number[]; received: number[] } {
  const sums = { sent: [0, 0], received: [0, 0] }
  for (const line of listing.split('\n')) {
    const [out, back] = [...line.matchAll(/packets=(\d+) bytes=(\d+)/g)]
    for (const [sum, found] of [
      [sums.sent, out],
      [sums.received, back],
    ] as const) {
      sum[0] = (sum[0] as number) + Number(found?.[1] ?? 0)
      sum[1] = (sum[1] as number) + Number(found?.[2] ?? 0)
    }
  }
  return sums
}

describe.skipIf(reason !== null)('a kernel that has more to tell than is read', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let server: ChildProcess

  beforeAll(async () => {
    node = createTestNode(2)
    cluster = createTestCluster()
    await cluster.apply(
      policy +
        namespace('shop') +
        node.pods
          .map(({ ip, ip6 }, index) =>
            pod({ name: `pod${index}`, ips: [ip, ip6], labels: `{app: ${['client', 'echo'][index]}}` }),
          )
          .join(''),
    )
    running = await cluster.startAgent(node, { flowBufferBytes: 4096 })
    writeFileSync(join(node.dir, 'arrivals.nft'), counter)
    node.run('nft', '-f', join(node.dir, 'arrivals.nft'))
    server = startTraffic(at(1), 'serve', '80')
    await once(server.stdout as NodeJS.ReadableStream, 'data')
  })

  afterAll(async () => {
    server?.kill()
    await running?.stop()
    node?.remove()
  })

  const at = (index: number) => node.pods[index] as TestPod

  async function run(...args: readonly (string | number)[]): Promise<void> {
    const command = ['netns', 'exec', at(0).netns, process.execPath, traffic, ...args.map(String)]
    const [status] = await once(spawn('ip', command, { stdio: 'inherit' }), 'exit')
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`)
  }

  const isDenied = (flows: readonly FlowEvent[]) => flows.filter((f) => f.action === 'deny' && f.reporter === 'src')
  const sum = (
    list: readonly FlowEvent[],
    key: 'packets_in' | 'packets_out' | 'bytes_in' | 'bytes_out' | 'num_flows_started',
  ) => list.reduce((total, event) => total + event[key], 0)

  /** Datagrams that came as far as policy. */
  const arrivals = () =>
    Number(/packets (\d+)/.exec(node.run('nft', 'list', 'counter', 'inet', 'arrivals', 'datagrams'))?.[1])

  test('loses no byte of what is allowed, and tells how much of what is denied it missed', async () => {
    expect(await running.metric('kernel_overruns_total')).toEqual({})
    await Promise.all([run('flood', at(1).ip, flood), run('transfer', at(1).ip, 80, connections, bytes)])
    const lostSoFar = async () => (await running.metric('logged_packets_total')).lost ?? 0
    const deniedSoFar = () => sum(isDenied(cluster.flows()), 'packets_out')
    // The next packet shows by its number what was lost before it, unless a reader that is still behind misses it too.
    for (let tries = 0; tries < 10; tries += 1) {
      await run('flood', at(1).ip, 1)
      await running.agent.flush()
      if (deniedSoFar() + (await lostSoFar()) >= arrivals()) break
    }
    const counted = countersOf(node.run('conntrack', '-L', '-p', 'tcp', '--orig-dst', at(1).ip, '--dport', '80'))
    // Verdicts that were lost are waited for until the next reading.
    await running.agent.flush()
    const flows = cluster.flows()
    for (const reporter of ['src', 'dst'] as const) {
      const allowed = flows.filter((f) => f.action === 'allow' && f.reporter === reporter && f.proto === 'tcp')
      const [sent, received] = reporter === 'src' ? (['out', 'in'] as const) : (['in', 'out'] as const)
      expect([sum(allowed, `packets_${sent}`), sum(allowed, `bytes_${sent}`)]).toEqual(counted.sent)
      expect([sum(allowed, `packets_${received}`), sum(allowed, `bytes_${received}`)]).toEqual(counted.received)
      expect(sum(allowed, 'num_flows_started')).toBe(connections)
      expect(counted.sent[1]).toBeGreaterThan(connections * bytes)
    }

    const lost = await lostSoFar()
    const denied = deniedSoFar()
    const arrived = arrivals()
    expect(arrived).toBeGreaterThan(flood / 2)
    expect(lost).toBeGreaterThan(0)
    // Some of the lost told of connections that were allowed: one packet of each end.
    expect(denied + lost).toBeGreaterThanOrEqual(arrived)
    expect(denied + lost).toBeLessThanOrEqual(arrived + 2 * connections)
    expect((await running.metric('kernel_overruns_total')).log).toBeGreaterThan(0)
    expect(running.agent.components.find(({ name }) => name === 'collector')?.health?.()).toMatchObject({
      state: 'degraded',
      reason: expect.stringMatching(/dropped \d+ logged packets/),
    })
  })
})
