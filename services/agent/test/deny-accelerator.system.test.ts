import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespace } from './cluster.ts'
import { hostEndpoint } from './hosts.ts'
import { createTestNode, type TestNode, whyNot } from './node.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`deny accelerator system test skipped: ${reason}`)

const traffic = new URL('./traffic.mjs', import.meta.url).pathname
const felix = (spec: string) => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {${spec}}
---
`
const networkSet = (nets: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: blocked, labels: {blocked: 'yes'}}
spec: {nets: ${nets}}
---
`
const denyList = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny-list}
spec:
  selector: host == 'yes'
  order: 1
  types: [Ingress]
  doNotTrack: true
  applyOnForward: true
  ingress:
    - {action: Deny, source: {nets: [203.0.113.0/24]}}
    - {action: Deny, source: {selector: blocked == 'yes'}}
---
`

describe.skipIf(reason !== null)('deny lists at the driver', { timeout: 30_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent

  beforeAll(async () => {
    node = createTestNode(0)
    cluster = createTestCluster()
    await cluster.apply(
      felix('xdpEnabled: true, genericXDPEnabled: true') +
        namespace('shop') +
        hostEndpoint({
          name: 'wire',
          interfaceName: node.uplink.interfaceName,
          profiles: '[projectcalico-default-allow]',
        }) +
        networkSet('[192.0.2.0/24]') +
        denyList,
    )
    running = await cluster.startAgent(node)
    await running.agent.programmer.settled()
  })

  afterAll(async () => {
    await running?.stop()
    node?.remove()
  })

  async function apply(yaml: string): Promise<void> {
    await cluster.apply(yaml)
    await running.agent.programmer.settled()
  }

  const outside = (...command: string[]) => spawnSync('ip', ['netns', 'exec', node.outside.netns, ...command])
  const pings = (to: string) => outside('timeout', '2', process.execPath, traffic, 'ping', to).status === 0
  /** 1: refused, which somebody must have said; 124: no answer. */
  const connects = (port: number) =>
    outside('timeout', '1', 'bash', '-c', `exec 3<>/dev/tcp/${node.uplink.ip}/${port}`).status
  const xdp = () => /prog\/xdp|xdp/.test(node.run('ip', 'link', 'show', node.uplink.interfaceName))

  test('who is not on the list gets through', () => {
    expect(running.agent.capabilities().earlyDrop).toEqual({ on: true })
    expect(xdp()).toBe(true)
    expect(pings(node.uplink.ip)).toBe(true)
    expect(pings(node.uplink.ip6)).toBe(true)
    expect(connects(9999)).toBe(1)
  })

  test('who comes onto the list is dropped before the rules see anything, but for failsafe ports', async () => {
    await apply(networkSet(`[192.0.2.0/24, ${node.outside.ip}/31, ${node.outside.ip6}]`))
    // Without the rules, it is the program that drops.
    node.run('nft', 'add', 'table', 'inet', 'witness')
    node.run(
      'nft',
      'add',
      'chain',
      'inet',
      'witness',
      'seen',
      '{ type filter hook prerouting priority -400; policy accept; }',
    )
    node.run('nft', 'add', 'counter', 'inet', 'witness', 'ping')
    node.run('nft', 'add', 'rule', 'inet', 'witness', 'seen', 'icmp type echo-request counter name ping')
    expect(pings(node.uplink.ip)).toBe(false)
    expect(node.run('nft', 'list', 'counter', 'inet', 'witness', 'ping')).toContain('packets 0 ')
    expect(connects(9999)).toBe(124)
    expect(connects(22)).toBe(1)
  })

  test('who leaves it is let in again, and packets that were dropped stay counted', async () => {
    await apply(networkSet('[192.0.2.0/24]'))
    expect(pings(node.uplink.ip)).toBe(true)
    await cluster.remove(denyList)
    await running.agent.programmer.settled()
    expect(running.agent.capabilities().earlyDrop).toEqual({ on: false, reason: 'no host endpoint has a deny list' })
    expect(xdp()).toBe(false)
    expect((await running.metric('denied_early_packets'))['']).toBeGreaterThan(0)
    expect(connects(9999)).toBe(1)
  })

  test('without leave, the rules alone deny', async () => {
    await apply(felix('genericXDPEnabled: true') + networkSet(`[${node.outside.ip}]`) + denyList)
    expect(running.agent.capabilities().earlyDrop).toEqual({ on: false, reason: 'xdpEnabled is not set' })
    expect(xdp()).toBe(false)
    expect(pings(node.uplink.ip)).toBe(false)
    expect(node.run('nft', 'list', 'counter', 'inet', 'witness', 'ping')).not.toContain('packets 0 ')
  })
})
