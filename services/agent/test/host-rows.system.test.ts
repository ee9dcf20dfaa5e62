import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import readline from 'node:readline'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { arrivals, fire, type Shot, type Watch, watch } from './arrivals.ts'
import { namespace, pod } from './cluster.ts'
import { hostEndpoint } from './hosts.ts'
import { createTestNode, type TestNode, whyNot } from './node.ts'
import { outputOf, type Place, startTraffic } from './probes.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`host rows system test skipped: ${reason}`)

const felix = (spec = '') => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
${spec
  .split('\n')
  .map((line) => `  ${line.trim()}`)
  .join('\n')}
---
`
const policy = (name: string, spec: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: ${spec}
---
`
/** One endpoint on the first wire, open unless policy says otherwise. */
const near = hostEndpoint({
  name: 'near',
  interfaceName: 'wire0',
  ips: ['10.78.0.1', 'fd78::1'],
  profiles: '[projectcalico-default-allow]',
})
const everywhere = hostEndpoint({ name: 'rest', interfaceName: '*', profiles: '[projectcalico-default-allow]' })

describe.skipIf(reason !== null)('what each stage of a host endpoint does', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let self: Place
  let further: Place
  let one: Place
  let places: (Watch & Place)[]
  const children: ChildProcess[] = []
  /** What the present test has applied. */
  let applied: string[] = []

  beforeAll(async () => {
    node = createTestNode(2)
    self = { netns: node.netns, ip: node.uplink.ip, ip6: node.uplink.ip6 }
    further = node.further.outside
    one = node.pods[0] as Place
    places = [
      ...[...node.pods, node.outside, further].map((place) => ({ ...place, isNode: false })),
      { ...self, isNode: true },
    ]
    for (const place of places) watch(place)
    cluster = createTestCluster()
    await cluster.apply(
      namespace('shop') +
        felix() +
        node.pods.map(({ ip, ip6 }, index) => pod({ name: `pod${index + 1}`, ips: [ip, ip6] })).join(''),
    )
    running = await cluster.startAgent(node)
    for (const place of [self, node.outside]) {
      const server = startTraffic(place, 'serve', '7777')
      children.push(server)
      await once(server.stdout as NodeJS.ReadableStream, 'data')
    }
  })
  afterEach(async () => {
    for (const yaml of applied) await cluster.remove(yaml)
    applied = []
    await cluster.apply(felix())
    await running.agent.programmer.settled()
  })
  afterAll(async () => {
    for (const child of children) child.kill()
    await running?.stop()
    node?.remove()
  })

  async function apply(...yaml: string[]): Promise<void> {
    for (const text of yaml) {
      await cluster.apply(text)
      if (!text.includes('kind: FelixConfiguration')) applied.push(text)
    }
    await running.agent.programmer.settled()
  }

  let sourcePort = 20_000
  const shot = (from: Place, to: string, port: number, protocol: Shot['protocol'] = 'tcp', fromIp?: string): Shot => {
    sourcePort += 1
    return { from, to, protocol, port, sourcePort, ...(fromIp === undefined ? {} : { fromIp }) }
  }

  /** Which shots arrive anywhere. */
  async function arriving(...shots: readonly Shot[]): Promise<boolean[]> {
    for (const place of places) arrivals(place)
    await fire(shots)
    const seen = new Set(places.flatMap((place) => [...arrivals(place)]))
    const number = ({ protocol, to }: Shot) =>
      protocol === 'tcp' ? 6 : protocol === 'udp' ? 17 : to.includes(':') ? 58 : 1
    return shots.map((one) => seen.has(`${number(one)} ${one.sourcePort}`))
  }

  async function newFlows(): Promise<FlowEvent[]> {
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster.flows().slice(before)
  }

  /** Milliseconds until a connection from outside ends, and how. */
  async function outcome(from: Place, to: string, port: number): Promise<string> {
    const child = startTraffic(from, 'connect', to, String(port))
    return outputOf(child)
  }

  test('untracked: both directions need a rule, no connection is tracked and nothing is told', async () => {
    const stream = async () => {
      const child = startTraffic(node.outside, 'stream', self.ip, '7777')
      const lines = readline.createInterface(child.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
      children.push(child)
      const first = await Promise.race([lines.next(), new Promise((resolve) => setTimeout(resolve, 1500))])
      child.stdin?.end()
      if (first === undefined) child.kill()
      return first === undefined ? null : (JSON.parse((await lines.next()).value as string) as Record<string, number>)
    }
    const tracked = () =>
      node
        .run('conntrack', '-L', '-f', 'ipv4')
        .split('\n')
        .filter((line) => line.includes('port=7777'))
    const inbound = '{action: Allow, destination: {ports: [7777]}, protocol: '
    const outbound = '{action: Allow, source: {ports: [7777]}, protocol: '
    const rules = (form: string) => `[${form}TCP}, ${form}UDP}]`
    node.run('conntrack', '-F')
    await newFlows()
    await apply(
      near,
      policy(
        'raw',
        `{selector: has(host), doNotTrack: true, applyOnForward: true, types: [Ingress, Egress], ingress: ${rules(inbound)}, egress: ${rules(outbound)}}`,
      ),
    )
    const through = await stream()
    expect(through?.sent).toBeGreaterThan(10)
    expect(through).toMatchObject({ udp: through?.sent, tcp: through?.sent })
    expect(tracked()).toEqual([])
    expect((await newFlows()).filter(({ dest_port }) => dest_port === 7777)).toEqual([])
    // An answer that no rule lets out untracked is no part of a connection.
    await apply(
      policy(
        'raw',
        `{selector: has(host), doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: ${rules(inbound)}}`,
      ),
    )
    expect(await stream()).toBeNull()
  })

  test('untracked: failsafe ports and the answers to what the host asked stay open, to their networks', async () => {
    await apply(
      near,
      felix(`failsafeInboundHostPorts: [{protocol: tcp, port: 7777, net: 10.78.0.0/24}]
        failsafeOutboundHostPorts: [{protocol: tcp, port: 7777, net: 10.78.0.0/24}]`),
      policy(
        'none',
        '{selector: has(host), doNotTrack: true, applyOnForward: true, types: [Ingress, Egress], ingress: [{action: Deny}], egress: [{action: Deny}]}',
      ),
    )
    expect(await outcome(node.outside, self.ip, 7777)).toBe('connected')
    expect(await outcome(self, node.outside.ip, 7777)).toBe('connected')
    expect(await outcome(node.outside, self.ip6, 7777)).toBe('timed out')
    expect(
      await arriving(
        shot(node.outside, self.ip, 7777),
        shot(node.outside, self.ip6, 7777),
        shot(node.outside, self.ip, 22),
        shot(self, node.outside.ip, 7777),
        shot(self, node.outside.ip, 179),
        // The other wire is nobody's, and what is only forwarded knows no failsafe ports.
        shot(further, node.further.uplink.ip, 22),
        shot(node.outside, further.ip, 7777),
      ),
    ).toEqual([true, false, false, true, false, true, false])
  })

  test('before DNAT: an Allow is final for what is forwarded too, connections that stand go on', async () => {
    const held = startTraffic(node.outside, 'hold', self.ip, '7777')
    children.push(held)
    const lines = readline.createInterface(held.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('connected')
    await apply(
      near,
      policy(
        'door',
        '{selector: has(host), order: 1, preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}, {action: Deny, protocol: TCP, destination: {ports: [81, 7777]}}]}',
      ),
      policy(
        'rest',
        '{selector: has(host), order: 2, applyOnForward: true, types: [Ingress], ingress: [{action: Deny}]}',
      ),
    )
    expect(
      await arriving(
        ...[self.ip, self.ip6, one.ip, further.ip].flatMap((to) =>
          [80, 81, 82].map((port) => shot(node.outside, to, port)),
        ),
        shot(node.outside, self.ip, 0, 'icmp'),
      ),
    ).toEqual([...Array(4).fill([true, false, false]).flat(), false])
    held.stdin?.write('still here\n')
    expect((await lines.next()).value).toBe('still here')
    held.kill()
  })

  test('forwarded: open until a policy for it selects the endpoint in the direction, then closed but for an Allow, failsafe ports too', async () => {
    const ways = () => [
      shot(node.outside, further.ip, 80),
      shot(node.outside, further.ip6, 22),
      shot(further, node.outside.ip, 80),
      shot(node.outside, one.ip, 81),
      shot(one, node.outside.ip, 80),
      shot(one, further.ip, 80),
      shot(further, one.ip, 80),
    ]
    await apply(near, policy('local', '{selector: has(host), types: [Ingress, Egress]}'))
    expect(await arriving(...ways())).toEqual(Array(7).fill(true))
    await apply(
      policy(
        'in',
        '{selector: has(host), applyOnForward: true, types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [81]}}]}',
      ),
    )
    expect(await arriving(...ways())).toEqual([false, false, true, true, true, true, true])
    await apply(policy('out', '{selector: has(host), applyOnForward: true, types: [Egress], egress: [{action: Deny}]}'))
    expect(await arriving(...ways())).toEqual([false, false, false, true, false, true, true])
    // `*` stands for the interfaces of workloads too; the wire that has an endpoint of its own keeps it.
    await apply(everywhere)
    expect(await arriving(...ways())).toEqual([false, false, false, false, false, false, false])
  })

  test('an interface without policies of a stage is not left to those of `*`', async () => {
    const bare = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: near}
spec: {node: node1, interfaceName: wire0, profiles: [projectcalico-default-allow]}
`
    await apply(
      bare,
      everywhere,
      policy(
        'door',
        '{selector: has(host), preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP}]}',
      ),
      policy(
        'raw',
        '{selector: has(host), doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: UDP}]}',
      ),
    )
    expect(
      await arriving(
        shot(node.outside, self.ip, 80),
        shot(node.outside, self.ip, 80, 'udp'),
        shot(further, node.further.uplink.ip, 80),
        shot(further, node.further.uplink.ip, 80, 'udp'),
        // Before DNAT `*` judges what comes from workloads too, untracked it does not.
        shot(one, node.outside.ip, 80),
        shot(one, node.outside.ip, 80, 'udp'),
      ),
    ).toEqual([true, true, false, false, false, true])
  })

  test.each([
    ['Drop', 'timed out', 'timed out'],
    ['Reject', 'ECONNREFUSED', 'timed out'],
  ])('a denied connection: %s', async (action, direct, translated) => {
    node.run('nft', 'add table ip doors')
    node.run('nft', 'add chain ip doors door { type nat hook output priority -100; }')
    node.run('nft', `add rule ip doors door ip daddr 10.78.0.99 tcp dport 80 dnat to ${node.outside.ip}:7778`)
    await apply(
      felix(`nftablesFilterDenyAction: ${action}`),
      near,
      policy(
        'none',
        '{selector: all(), types: [Ingress, Egress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [7778]}}, {action: Allow}], egress: [{action: Deny, protocol: TCP, destination: {ports: [7778]}}, {action: Allow}]}',
      ),
      policy(
        'door',
        '{selector: has(host), preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [7779]}}]}',
      ),
    )
    const outcomes = await Promise.all([
      outcome(node.outside, self.ip, 7778),
      outcome(node.outside, one.ip6, 7778),
      outcome(one, node.outside.ip, 7778),
      outcome(self, node.outside.ip, 7778),
      // Before and after the hooks that filter, a packet can only be dropped.
      outcome(node.outside, self.ip, 7779),
      outcome(self, '10.78.0.99', 80),
    ])
    expect(outcomes).toEqual([direct, direct, direct, direct, 'timed out', translated])
    node.run('nft', 'delete table ip doors')
  })

  test.each(['Accept', 'LogAndAccept', 'LogAndDrop'])('denials on trial: %s', async (override) => {
    const passes = override.endsWith('Accept')
    await apply(
      felix(`dropActionOverride: ${override}`),
      near,
      policy('none', '{selector: all(), order: 2, applyOnForward: true, types: [Ingress, Egress]}'),
      policy(
        'door',
        '{selector: has(host), order: 1, preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}]}',
      ),
      policy(
        'raw',
        '{selector: has(host), order: 1, doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [82]}}]}',
      ),
    )
    await newFlows()
    const shots = [
      ...[80, 81, 82].flatMap((port) => [shot(node.outside, self.ip, port), shot(node.outside, one.ip, port)]),
      shot(one, node.pods[1]?.ip as string, 80),
      shot(self, node.outside.ip, 80),
    ]
    expect(await arriving(...shots)).toEqual(shots.map(() => passes))
    const denied = new Set(
      (await newFlows()).filter(({ action }) => action === 'deny').map(({ source_port }) => source_port),
    )
    expect(shots.filter(({ port }) => port !== 82).every((one) => denied.has(one.sourcePort))).toBe(true)
    const table = node.run('nft', 'list', 'table', 'inet', 'margay')
    expect(table.includes('limit rate 10/second')).toBe(override.startsWith('LogAnd'))
    expect(table.includes('log prefix "calico-drop: "')).toBe(override.startsWith('LogAnd'))
  })

  test('what no configuration lets workloads send is dropped: tunnels, and addresses that are not theirs', async () => {
    const tunnel = () => [shot(one, node.outside.ip, 4789, 'udp'), shot(one, node.outside.ip, 4790, 'udp')]
    expect(await arriving(...tunnel())).toEqual([false, true])
    await apply(felix('vxlanPort: 4790'))
    expect(await arriving(...tunnel())).toEqual([true, false])
    await apply(felix('allowVXLANPacketsFromWorkloads: true'))
    expect(await arriving(...tunnel())).toEqual([true, true])
    const pod1 = { netns: one.netns }
    const add = (ip: string) =>
      node.run(
        'ip',
        'netns',
        'exec',
        pod1.netns,
        'ip',
        'addr',
        'add',
        ip,
        'dev',
        'eth0',
        ...(net.isIPv6(ip.split('/')[0] as string) ? ['nodad'] : []),
      )
    add('10.77.0.99/32')
    add('fd77::99/128')
    expect(
      await arriving(
        shot(one, node.outside.ip, 80, 'udp', '10.77.0.99'),
        shot(one, node.outside.ip6, 80, 'udp', 'fd77::99'),
        shot(one, node.outside.ip, 80, 'udp', one.ip),
        shot(one, node.outside.ip6, 80, 'udp', one.ip6),
      ),
    ).toEqual([false, false, true, true])
  })
})
