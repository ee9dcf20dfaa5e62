import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import readline from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { outputOf, type Probe, runProbes, startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`agent system test skipped: ${reason}`)

const felix = `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
  dnsLogsFileAggregationKind: 0
---
`

describe.skipIf(reason !== null)('an agent on a real kernel', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let base: string
  const children: ChildProcess[] = []

  beforeAll(async () => {
    node = createTestNode(3)
    base =
      felix +
      namespace('shop', '{team: x}') +
      namespace('other', '{team: y}') +
      node.pods
        .map(({ ip, ip6 }, index) =>
          pod({
            name: `pod${index + 1}`,
            namespace: index === 2 ? 'other' : 'shop',
            ips: [ip, ip6],
            labels: `{app: ${'abc'[index]}}`,
            ports: `[{name: web, containerPort: ${80 + index}, protocol: TCP}]`,
          }),
        )
        .join('')
    cluster = createTestCluster()
    await cluster.apply(base)
    running = await cluster.startAgent(node)
    const server = startTraffic(podAt(1), 'serve', '80')
    children.push(server)
    await once(server.stdout as NodeJS.ReadableStream, 'data')
  })

  afterAll(async () => {
    for (const child of children) child.kill()
    await running?.stop()
    node?.remove()
  })

  const podAt = (index: number) => node.pods[index] as TestPod

  /** The records written by a flush, without those written before. */
  async function newFlows(): Promise<FlowEvent[]> {
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster.flows().slice(before)
  }

  test('fifty changes of policy lose no packet of streams that go on, and every byte is counted once', async () => {
    await newFlows()
    const stream = startTraffic(podAt(0), 'stream', podAt(1).ip, '80')
    children.push(stream)
    await once(stream.stdout as NodeJS.ReadableStream, 'data')
    const finished = outputOf(stream)
    const change = (index: number) =>
      JSON.stringify({
        apiVersion: 'projectcalico.org/v3',
        kind: 'GlobalNetworkPolicy',
        metadata: { name: 'churn' },
        spec: {
          selector: 'all()',
          order: index,
          types: ['Ingress', 'Egress'],
          ingress: [{ action: 'Allow', source: { nets: ['10.77.0.0/24', `192.0.2.${index}/32`] } }],
          egress: [
            { action: 'Allow', protocol: 'TCP', destination: { ports: [80, 1000 + index] } },
            { action: 'Allow', destination: { selector: `app in {'b', 'x${index}'}` } },
          ],
        },
      })
    for (let index = 0; index < 50; index += 1) {
      await cluster.apply(change(index))
      await running.agent.programmer.settled()
      await setTimeout(20)
    }
    stream.stdin?.end()
    const { sent, ...back } = JSON.parse(await finished) as { sent: number; udp: number; tcp: number }
    expect(sent).toBeGreaterThan(1000)
    expect(back).toEqual({ udp: sent, tcp: sent })
    const flows = await newFlows()
    const sum = (
      reporter: string,
      proto: string,
      key: 'bytes_out' | 'packets_out' | 'bytes_in' | 'num_flows_started',
    ) =>
      flows
        .filter((f) => f.reporter === reporter && f.proto === proto && f.dest_port === 80)
        .reduce((all, f) => all + f[key], 0)
    // Datagrams of 10 bytes and a first one of 5, each with 28 bytes of headers.
    expect(sum('src', 'udp', 'bytes_out')).toBe(sent * 38 + 33)
    expect(sum('src', 'udp', 'packets_out')).toBe(sent + 1)
    expect(sum('dst', 'udp', 'bytes_in')).toBe(sent * 38 + 33)
    expect(sum('src', 'udp', 'num_flows_started')).toBe(1)
    expect(sum('src', 'tcp', 'bytes_out')).toBe(sum('dst', 'tcp', 'bytes_in'))
    expect(sum('src', 'tcp', 'bytes_out')).toBeGreaterThan(sent * 10)
    await cluster.remove(change(0))
    await running.agent.programmer.settled()
  })

  test('lookups are logged with their answers and latency', async () => {
    const codes = await outputOf(
      startTraffic(podAt(0), 'lookup', podAt(1).ip, 'known.example', 'Known2.example', 'unknown.example'),
    )
    expect(codes.split('\n')).toEqual(['0', '0', '3'])
    await running.agent.flush()
    const events = cluster.lookups().filter((event) => event.client_ip === podAt(0).ip)
    expect(events.map((e) => [e.qname, e.rcode, e.count, e.rrsets[0]?.rdata ?? []])).toEqual([
      ['known.example', 'NoError', 1, ['192.0.2.80']],
      ['known2.example', 'NoError', 1, ['192.0.2.80']],
      ['unknown.example', 'NXDomain', 1, []],
    ])
    for (const event of events) {
      expect(event).toMatchObject({
        client_name: 'pod1',
        client_namespace: 'shop',
        servers: [{ name: 'pod2', ip: podAt(1).ip }],
      })
      expect(event.latency_count).toBe(1)
      expect(event.latency_mean).toBeGreaterThan(0)
    }
  })

  test('an agent that stops leaves policy in force, and one that starts again cuts no connection', async () => {
    const policy = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: only-80}
spec: {selector: app == 'b', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}
`
    await cluster.apply(policy)
    await running.agent.programmer.settled()
    const held = startTraffic(podAt(0), 'hold', podAt(1).ip, '80')
    children.push(held)
    const lines = readline.createInterface(held.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
    const say = async (text: string) => {
      held.stdin?.write(`${text}\n`)
      return (await lines.next()).value
    }
    expect((await lines.next()).value).toBe('connected')
    expect(await say('one')).toBe('one')
    await running.stop()
    expect(await say('two')).toBe('two')
    const denied: Probe = { from: podAt(0), to: podAt(1).ip, protocol: 'tcp', port: 81 }
    expect((await runProbes([denied])).get(denied)).toBe(false)
    running = await cluster.startAgent(node)
    expect(await say('three')).toBe('three')
    await newFlows()
    expect(await say('four')).toBe('four')
    // A connection from before the restart is followed further, not counted as started again.
    const flows = (await newFlows()).filter((f) => f.reporter === 'src' && f.dest_port === 80 && f.num_flows > 0)
    expect(flows.map((f) => [f.action, f.num_flows_started, f.packets_out > 0])).toEqual([['allow', 0, true]])
    held.kill()
    await cluster.remove(policy)
    await running.agent.programmer.settled()
  })

  test('connections to a service are told with it, whether they are allowed or denied', async () => {
    node.run('nft', 'add table ip services')
    node.run('nft', 'add chain ip services redirects { type nat hook prerouting priority dstnat; }')
    node.run('nft', `add rule ip services redirects ip daddr 10.96.0.9 tcp dport 8080 dnat to ${podAt(1).ip}:80`)
    node.run('nft', `add rule ip services redirects ip daddr 10.96.0.9 tcp dport 8081 dnat to ${podAt(1).ip}:81`)
    const service = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.9
  selector: {app: b}
  ports: [{name: http, port: 8080, targetPort: 80}, {name: admin, port: 8081, targetPort: 81}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: only-80}
spec: {selector: app == 'b', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}
`
    await cluster.apply(service)
    await running.agent.programmer.settled()
    await newFlows()
    const probe = (port: number): Probe => ({ from: podAt(0), to: '10.96.0.9', protocol: 'tcp', port })
    const probes = [probe(8080), probe(8081)]
    const answered = await runProbes(probes)
    expect(probes.map((p) => answered.get(p))).toEqual([true, false])
    const told = (await newFlows())
      .filter((f) => f.proto === 'tcp' && f.dest_ip === podAt(1).ip)
      .map((f) => `${f.reporter} ${f.action} ${f.dest_port} ${f.dest_service_name} ${f.dest_service_port}`)
      .sort()
    expect(told).toEqual([
      'dst allow 80 web http',
      'dst deny 81 web admin',
      'src allow 80 web http',
      'src allow 81 web admin',
    ])
    await cluster.remove(service)
    await running.agent.programmer.settled()
    node.run('nft', 'delete table ip services')
  })

  test('a workload interface that no endpoint owns is closed, and opens when its pod appears', async () => {
    const third = pod({ name: 'pod3', namespace: 'other', ips: [podAt(2).ip, podAt(2).ip6], labels: '{app: c}' })
    await cluster.remove(third)
    await running.agent.programmer.settled()
    const probe: Probe = { from: podAt(2), to: podAt(1).ip, protocol: 'tcp', port: 80 }
    expect((await runProbes([probe])).get(probe)).toBe(false)
    await cluster.apply(third)
    await running.agent.programmer.settled()
    expect((await runProbes([probe])).get(probe)).toBe(true)
  })

  test('a table that somebody deletes comes back', async () => {
    node.run('nft', 'delete', 'table', 'inet', 'margay')
    await expect
      .poll(() => node.run('nft', 'list', 'maps', 'inet'), { timeout: 10_000, interval: 200 })
      .toContain(podAt(0).interfaceName)
  })

  test('an agent that is told to uninstall takes its rules away, and all traffic passes', async () => {
    const denied = JSON.stringify({
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'deny-all' },
      spec: { selector: 'all()', types: ['Ingress', 'Egress'] },
    })
    await cluster.apply(denied)
    await running.agent.programmer.settled()
    const probe: Probe = { from: podAt(0), to: podAt(1).ip, protocol: 'tcp', port: 80 }
    expect((await runProbes([probe])).get(probe)).toBe(false)
    await running.stop()
    running = await cluster.startAgent(node, { uninstall: true })
    await running.stop()
    expect(node.run('nft', 'list', 'tables')).not.toContain('margay')
    expect((await runProbes([probe])).get(probe)).toBe(true)
    await cluster.remove(denied)
    running = await cluster.startAgent(node)
  })
})
