import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { FlowEvent } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace, pod } from './cluster.ts'
import { hostEndpoint } from './hosts.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { outputOf } from './probes.ts'
import { createTestCluster, type RunningAgent } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`system test of domain rules skipped: ${reason}`)
const traffic = new URL('./dns-traffic.mjs', import.meta.url).pathname

const settings = (server: string) => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
  dnsTrustedServers: ['${server}']
---
`
const rules = (patterns: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: egress}
spec:
  selector: app == 'client' || has(host)
  types: [Egress]
  egress:
    - {action: Allow, protocol: UDP, destination: {ports: [53]}}
    - {action: Allow, protocol: UDP, destination: {domains: [${patterns}], ports: [9]}}
---
`

describe.skipIf(reason !== null)('rules with domains, in the kernel by an agent', { timeout: 60_000 }, () => {
  const cluster = createTestCluster()
  let node: TestNode
  let running: RunningAgent
  const children: ChildProcess[] = []

  const at = (index: number) => node.pods[index] as TestPod
  const run = (netns: string, ...args: string[]) => {
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, traffic, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    return child
  }
  async function serve(netns: string, ...args: string[]): Promise<void> {
    await once(run(netns, ...args).stdout as NodeJS.ReadableStream, 'data')
  }
  const pairs = async (netns: string, domain: string, count: number, first: number, family = '4') => {
    const child = run(netns, 'pairs', at(1).ip, domain, `${count}`, `${first}`, '9', 'udp', family)
    return (JSON.parse(await outputOf(child)) as { lost: number }).lost
  }
  /** Sends a datagram to an address that nobody looks up first. */
  const reaches = (netns: string, ip: string) => {
    const script = `const s = require('dgram').createSocket('udp4'); s.on('message', () => process.exit(0)); s.send('x', 9, '${ip}'); setTimeout(() => process.exit(1), 400)`
    return spawnSync('ip', ['netns', 'exec', netns, process.execPath, '-e', script]).status === 0
  }
  async function newFlows(): Promise<FlowEvent[]> {
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster.flows().slice(before)
  }

  beforeAll(async () => {
    node = createTestNode(2)
    for (const [net, via] of [
      ['10.90.0.0/16', node.outside.ip],
      ['fd90::/64', node.outside.ip6],
    ]) {
      node.run('ip', 'route', 'add', net as string, 'via', via as string)
      spawnSync('ip', ['-n', node.outside.netns, 'route', 'add', 'local', net as string, 'dev', 'lo'])
    }
    await cluster.apply(
      settings(at(1).ip) +
        namespace('shop') +
        pod({ name: 'client', ips: [at(0).ip, at(0).ip6], labels: '{app: client}' }) +
        pod({ name: 'dns', ips: [at(1).ip, at(1).ip6] }) +
        // Datagrams come back from the address of the machine, not from the one that they were sent to: what comes in is open.
        hostEndpoint({
          name: 'wire',
          interfaceName: node.uplink.interfaceName,
          ips: [node.uplink.ip],
          profiles: '[kns.shop]',
        }),
    )
    await cluster.apply(rules("'*.allowed.example'"))
    await Promise.all([serve(at(1).netns, 'serve'), serve(node.outside.netns, 'echo', '9')])
    running = await cluster.startAgent(node)
    await running.agent.programmer.settled()
  })
  afterAll(async () => {
    for (const child of children) child.kill()
    await running?.stop()
    node?.remove()
  })

  test('a pod, and the node itself, reach what an allowed name stood for, and nothing else', async () => {
    expect(reaches(at(0).netns, '10.90.0.1')).toBe(false)
    expect(await pairs(at(0).netns, 'ttl600.allowed.example', 100, 1)).toBe(0)
    expect(await pairs(at(0).netns, 'ttl600.allowed.example', 30, 1000, '6')).toBe(0)
    expect(await pairs(node.netns, 'ttl600.allowed.example', 30, 2000)).toBe(0)
    expect(await pairs(at(0).netns, 'ttl600.other.example', 1, 3000)).toBe(1)
    expect(await pairs(node.netns, 'ttl600.other.example', 1, 3001)).toBe(1)
    const flows = await newFlows()
    const to = (ip: string) => flows.filter((flow) => flow.dest_ip === ip && flow.reporter === 'src')
    expect(to('10.90.0.7')).toMatchObject([
      {
        action: 'allow',
        dest_domains: ['7.ttl600.allowed.example'],
        enforced_policies: ['0|default|default.egress|allow|1'],
      },
    ])
    expect(to('10.90.11.184')).toMatchObject([
      {
        action: 'deny',
        dest_domains: ['3000.ttl600.other.example'],
        enforced_policies: ['0|default|default.egress|deny|-1'],
      },
    ])
  })

  test('a name allowed later opens what was looked up before; one taken out closes it', async () => {
    await cluster.apply(rules("'*.allowed.example', '*.other.example'"))
    await running.agent.programmer.settled()
    expect(reaches(at(0).netns, '10.90.11.184')).toBe(true)
    expect(reaches(at(0).netns, '10.90.0.7')).toBe(true)
    await cluster.apply(rules("'*.allowed.example'"))
    await running.agent.programmer.settled()
    expect(reaches(at(0).netns, '10.90.11.184')).toBe(false)
    expect(reaches(at(0).netns, '10.90.0.7')).toBe(true)
  })

  test('a restart keeps what was learned, without a look-up and without a gap', async () => {
    let isOver = false
    let denied = 0
    const watching = (async () => {
      while (!isOver) {
        const child = run(at(0).netns, 'send', '10.90.0.7', '9')
        if ((await outputOf(child)) !== 'answered') denied += 1
      }
    })()
    await running.stop()
    expect(reaches(at(0).netns, '10.90.0.8')).toBe(true)
    running = await cluster.startAgent(node)
    await running.agent.programmer.settled()
    isOver = true
    await watching
    expect(denied).toBe(0)
    expect(reaches(at(0).netns, '10.90.0.9')).toBe(true)
    expect(await pairs(at(0).netns, 'ttl600.allowed.example', 20, 4000)).toBe(0)
  })

  test('somebody flushes every rule: all is back within seconds, with every address', async () => {
    node.run('nft', 'flush', 'ruleset')
    const closed = async () => !reaches(at(0).netns, '10.90.0.1') || reaches(at(0).netns, '10.90.77.77')
    for (let i = 0; i < 100 && (await closed()); i += 1) await new Promise((resolve) => setTimeout(resolve, 100))
    expect([reaches(at(0).netns, '10.90.0.7'), reaches(at(0).netns, '10.90.77.77')]).toEqual([true, false])
    expect(await pairs(at(0).netns, 'ttl600.allowed.example', 20, 5000)).toBe(0)
  })

  test('uninstalled, it leaves no table', async () => {
    await running.stop()
    running = await cluster.startAgent(node, { uninstall: true })
    await running.stop()
    expect(node.run('nft', 'list', 'tables')).toBe('')
    running = await cluster.startAgent(node)
  })
})
