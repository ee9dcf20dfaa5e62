import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import readline from 'node:readline'
import { evaluate, type FlowEvent, formatTrace, type Judgement, protocolName } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clusterOf, namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, whyNot } from './node.ts'
import { type Place, type Probe, packetOf, runProbes, startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`host endpoints system test skipped: ${reason}`)

const felix = (toHost: string) => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  defaultEndpointToHostAction: ${toHost}
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
---
`
const machines = `
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 10.78.0.1}, {type: InternalIP, address: 'fd78::1'}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside, labels: {app: a}}
spec: {nets: [10.78.0.2/32, 'fd78::2/128']}
---
`
const host = (options: { readonly interfaceName: string; readonly profiles?: string }) => `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node1-host, labels: {app: b, host: 'yes'}}
spec:
  node: node1
  interfaceName: '${options.interfaceName}'
  expectedIPs: [10.78.0.1, 'fd78::1']
  profiles: ${options.profiles ?? '[]'}
  ports: [{name: web, protocol: TCP, port: 80}]
---
`
/** The kubelet may be reached from outside and from pods labelled a; the host may go out for HTTP. */
const kubelet = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: kubelet}
spec:
  selector: has(host)
  types: [Ingress, Egress]
  ingress:
    - {action: Allow, protocol: TCP, source: {selector: app == 'a'}, destination: {ports: [10250]}}
    - {action: Allow, protocol: ICMP, icmp: {type: 8}, source: {selector: app == 'a'}}
  egress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
`

const traceOf = (judgement: Judgement | null) => (judgement?.trace ?? []).map(formatTrace)

describe.skipIf(reason !== null)('host endpoints on a real kernel', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let base: string
  let self: Place
  const children: ChildProcess[] = []

  beforeAll(async () => {
    node = createTestNode(2)
    self = { netns: node.netns, ip: node.uplink.ip, ip6: node.uplink.ip6 }
    base =
      machines +
      namespace('shop', '{team: x}') +
      node.pods
        .map(({ ip, ip6 }, index) => pod({ name: `pod${index + 1}`, ips: [ip, ip6], labels: `{app: ${'ac'[index]}}` }))
        .join('')
    cluster = createTestCluster()
    await cluster.apply(base + felix('Drop'))
    running = await cluster.startAgent(node)
    for (const place of [self, node.outside]) {
      const server = startTraffic(place, 'serve', '10250')
      children.push(server)
      await once(server.stdout as NodeJS.ReadableStream, 'data')
    }
  })

  afterAll(async () => {
    for (const child of children) child.kill()
    await running?.stop()
    node?.remove()
  })

  async function apply(yaml: string): Promise<void> {
    await cluster.apply(yaml)
    await running.agent.programmer.settled()
  }

  async function remove(yaml: string): Promise<void> {
    await cluster.remove(yaml)
    await running.agent.programmer.settled()
  }

  /** What a flush tells about connections that are new. Datagrams of earlier tests end only now, with the rules of their time. */
  async function newFlows(): Promise<FlowEvent[]> {
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster
      .flows()
      .slice(before)
      .filter((flow) => flow.num_flows_started > 0)
  }

  const isPod = (ip: string) => node.pods.some((p) => p.ip === ip || p.ip6 === ip)

  /** Sends the probes and holds what became of them, and what was told about it, against the evaluator; gives its traces. */
  async function compare(probes: readonly Probe[], ...texts: readonly string[]): Promise<string[]> {
    const model = clusterOf(...texts)
    await newFlows()
    const answered = await runProbes(probes)
    const flows = await newFlows()
    const seen: string[] = []
    for (const probe of probes) {
      const packet = packetOf(probe)
      const expected = evaluate(model, packet)
      const where = JSON.stringify({ packet, texts })
      if (probe.protocol !== 'udp') expect(answered.get(probe), where).toBe(expected.verdict === 'allow')
      const records = (reporter: string) =>
        flows.filter(
          (f) =>
            f.reporter === reporter &&
            f.source_ip === packet.sourceIp &&
            f.dest_ip === packet.destinationIp &&
            f.dest_port === packet.destinationPort &&
            f.proto === protocolName(packet.protocol),
        )
      const [fromPod, toPod] = [isPod(packet.sourceIp), isPod(packet.destinationIp)]
      const isFromHost = packet.sourceIp === self.ip || packet.sourceIp === self.ip6
      const isToHost = packet.destinationIp === self.ip || packet.destinationIp === self.ip6
      // A drop of everything from workloads to their host is no policy's, and a host and its pods are no business of a host endpoint.
      const src = records('src')
      const dst = records('dst')
      expect(src.length > 0, where).toBe(
        (isFromHost && !toPod) || (fromPod && (!isToHost || model.endpointToHostAction('node1') !== 'drop')),
      )
      const isAsked = isToHost && (!fromPod || model.endpointToHostAction('node1') === 'return')
      expect(dst.length > 0, where).toBe(expected.egress?.verdict !== 'deny' && isAsked)
      for (const [list, judgement] of [[src, expected.egress] as const, [dst, expected.ingress] as const])
        for (const record of list) {
          expect([record.action, record.enforced_policies], where).toEqual([judgement?.verdict, traceOf(judgement)])
          seen.push(...record.enforced_policies)
        }
      for (const record of dst)
        expect(record).toMatchObject({
          dest_type: 'hep',
          dest_name: 'node1-host',
          dest_name_aggr: 'node1',
          dest_namespace: '-',
        })
      for (const record of isFromHost ? src : [])
        expect(record).toMatchObject({ source_type: 'hep', source_name_aggr: 'node1', source_namespace: '-' })
    }
    return seen
  }

  const probe = (from: Place, to: string, port: number, protocol: Probe['protocol'] = 'tcp'): Probe => ({
    from,
    to,
    protocol,
    port,
  })

  test.each(['wire0', '*'])(
    'what processes of the host receive and send is judged by its endpoint (interface %s)',
    async (interfaceName) => {
      const texts = [base, felix('Return'), host({ interfaceName }), kubelet]
      const [a, c] = [node.pods[0] as Place, node.pods[1] as Place]
      const probes = [
        ...[a, c, node.outside].flatMap((from) => [
          probe(from, self.ip, 10250),
          probe(from, self.ip, 22),
          probe(from, self.ip, 80),
          probe(from, self.ip6, 10250),
          probe(from, self.ip, 0, 'icmp'),
          probe(from, self.ip, 10250, 'udp'),
        ]),
        ...[node.outside.ip, node.outside.ip6].flatMap((to) => [
          probe(self, to, 80),
          probe(self, to, 81),
          probe(self, to, 6443),
          probe(self, to, 53, 'udp'),
          probe(self, to, 0, 'icmp'),
        ]),
        probe(self, a.ip, 81),
        probe(c, node.outside.ip, 10250),
      ]
      for (const text of texts) await cluster.apply(text)
      await running.agent.programmer.settled()
      const seen = await compare(probes, ...texts)
      expect(new Set(seen)).toEqual(
        new Set([
          '0|default|default.kubelet|allow|0',
          '0|default|default.kubelet|allow|1',
          '0|default|default.kubelet|deny|-1',
          '0|__PROFILE__|__PROFILE__.kns.shop|allow|0',
        ]),
      )
      await remove(`${kubelet}\n---\n${host({ interfaceName })}`)
      expect(node.run('nft', 'list', 'table', 'inet', 'margay')).not.toContain('chain to-host')
    },
  )

  test.each(['Drop', 'Accept'])(
    'packets of workloads to their host: %s is not asked of its endpoint',
    async (action) => {
      const texts = [base, felix(action), host({ interfaceName: '*' }), kubelet]
      for (const text of texts) await cluster.apply(text)
      await running.agent.programmer.settled()
      const probes = [...node.pods, node.outside].flatMap((from) => [
        probe(from, self.ip, 10250),
        probe(from, self.ip, 81),
        probe(from, self.ip6, 0, 'icmp'),
      ])
      await compare(probes, ...texts)
      await remove(kubelet)
      await remove(host({ interfaceName: '*' }))
    },
  )

  test('an endpoint without addresses, policies and profiles closes all but the failsafe ports of configuration', async () => {
    const bare = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: all}
spec: {node: node1, interfaceName: '*'}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
  failsafeInboundHostPorts: [{protocol: tcp, port: 10250, net: 10.78.0.0/24}, {protocol: tcp, port: 82, net: 10.79.0.0/24}]
  failsafeOutboundHostPorts: []
`
    await cluster.apply(bare)
    await running.agent.programmer.settled()
    await newFlows()
    const probes = [
      probe(node.outside, self.ip, 10250),
      probe(node.outside, self.ip6, 10250),
      probe(node.outside, self.ip, 22),
      probe(node.outside, self.ip, 82),
      probe(self, node.outside.ip, 10250),
      // Forwarded packets and loopback are none of its business.
      probe(node.outside, (node.pods[0] as Place).ip, 81),
      probe(node.pods[0] as Place, node.outside.ip, 10250),
      probe(self, '127.0.0.1', 10250),
      probe(self, self.ip, 10250),
    ]
    const answered = await runProbes(probes)
    expect(probes.map((p) => answered.get(p))).toEqual([true, false, false, false, false, true, true, true, true])
    const told = (await newFlows())
      .filter((f) => f.dest_type === 'hep' || f.source_type === 'hep')
      .map((f) => [f.reporter, f.action, f.source_name, f.dest_name, f.dest_port, ...f.enforced_policies].join(' '))
      .sort()
    const nobody = '0|__PROFILE__|__PROFILE__.__NO_MATCH__|deny|-1'
    expect(told).toEqual([
      'dst allow - all 10250',
      `dst deny - all 10250 ${nobody}`,
      `dst deny - all 22 ${nobody}`,
      `dst deny - all 82 ${nobody}`,
      `src deny all - 10250 ${nobody}`,
    ])
    await cluster.remove(bare)
    await apply(felix('Drop'))
  })

  test('an endpoint with an interface of its own goes before that of all, found by its address too', async () => {
    const two = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: all}
spec: {node: node1, interfaceName: '*'}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: wire}
spec: {node: node1, expectedIPs: [10.78.0.1], profiles: [projectcalico-default-allow]}
`
    await apply(two)
    const probes = [probe(node.outside, self.ip, 81), probe(self, node.outside.ip, 81)]
    await newFlows()
    const answered = await runProbes(probes)
    expect(probes.map((p) => answered.get(p))).toEqual([true, true])
    const told = (await newFlows()).map((f) =>
      [f.reporter, f.source_name, f.dest_name, ...f.enforced_policies].join(' '),
    )
    const allow = '0|__PROFILE__|__PROFILE__.projectcalico-default-allow|allow|0'
    expect(told.sort()).toEqual([`dst - wire ${allow}`, `src wire - ${allow}`])
    expect(running.agent.facts().endpoints).toBe(4)
    await remove(two)
  })

  test('what the host sends to a service is judged by where it goes', async () => {
    node.run('nft', 'add table ip services')
    node.run('nft', 'add chain ip services redirects { type nat hook output priority -100; }')
    node.run('nft', `add rule ip services redirects ip daddr 10.78.0.99 tcp dport 80 dnat to ${node.outside.ip}:10250`)
    node.run('nft', `add rule ip services redirects ip daddr 10.78.0.99 tcp dport 81 dnat to ${node.outside.ip}:80`)
    const texts = [host({ interfaceName: 'wire0' }), kubelet]
    for (const text of texts) await apply(text)
    await newFlows()
    const probes = [probe(self, '10.78.0.99', 80), probe(self, '10.78.0.99', 81)]
    const answered = await runProbes(probes)
    expect(probes.map((p) => answered.get(p))).toEqual([false, true])
    const told = (await newFlows()).map((f) =>
      [f.reporter, f.action, f.dest_ip, f.dest_port, ...f.enforced_policies].join(' '),
    )
    expect(told.sort()).toEqual([
      'src allow 10.78.0.2 80 0|default|default.kubelet|allow|0',
      'src deny 10.78.0.2 10250 0|default|default.kubelet|deny|-1',
    ])
    node.run('nft', 'delete table ip services')
    for (const text of texts) await remove(text)
  })

  test('a connection that is older than the endpoint goes on through changes, and is not told as a new one', async () => {
    const held = startTraffic(node.outside, 'hold', self.ip, '10250')
    children.push(held)
    const lines = readline.createInterface(held.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
    const say = async (text: string) => {
      held.stdin?.write(`${text}\n`)
      return (await lines.next()).value
    }
    expect((await lines.next()).value).toBe('connected')
    expect(await say('one')).toBe('one')
    await newFlows()
    await apply(host({ interfaceName: '*', profiles: '[projectcalico-default-allow]' }))
    expect(await say('two')).toBe('two')
    await newFlows()
    for (const text of ['three', 'four', 'five']) {
      await apply(host({ interfaceName: text === 'four' ? 'wire0' : '*' }))
      expect(await say(text)).toBe(text)
    }
    await running.stop()
    running = await cluster.startAgent(node)
    expect(await say('six')).toBe('six')
    const flows = cluster
      .flows()
      .filter((f) => f.dest_name === 'node1-host' && f.dest_port === 10250 && f.packets_in > 0)
    const last = flows.filter(({ num_flows_completed: n }) => n === 0).slice(-1)
    expect(last.map((f) => [f.reporter, f.action, f.num_flows_started])).toEqual([['dst', 'allow', 0]])
    held.kill()
    await remove(host({ interfaceName: '*' }))
  })
})
