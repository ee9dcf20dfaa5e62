import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { evaluate, formatTrace, type Packet } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clusterOf, namespace, pod } from './cluster.ts'
import { createTestNode, type TestNode, whyNot } from './node.ts'
import { type Place, type Probe, packetOf, runProbes, startTraffic } from './probes.ts'
import { createRandom, randomPolicies } from './random-policies.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`host stages system test skipped: ${reason}`)

const clusterIp = '10.96.0.1'
const nodePort = 30080

const machines = (felix: string) => `
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
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {defaultEndpointToHostAction: ${felix}}
---
`
const host = (interfaceName: string, profiles: string) => `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node1-host, labels: {app: b, host: 'yes'}}
spec:
  node: node1
  interfaceName: '${interfaceName}'
  expectedIPs: [10.78.0.1, 'fd78::1']
  profiles: ${profiles}
---
`

interface Document {
  readonly spec: Record<string, unknown> & { readonly ingress?: unknown[] }
}

/** Random policies, each for one of the stages of host endpoints. */
function stagedPolicies(seed: number): { policies: string; tiers: string } {
  const random = createRandom(seed * 7919)
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const made = randomPolicies(seed, {
    selectors: ['has(host)', 'has(host)', 'has(host)', "app == 'a'"],
    net4: '10.78.0.',
    net6: 'fd78::',
  })
  // Nothing is tracked in the first stage, so that answers must not meet its rules: they are not to these ports.
  const untracked = () => ({
    action: pick(['Deny', 'Pass']),
    protocol: 'TCP',
    ...pick([{}, { source: { nets: ['10.78.0.2/32'] } }]),
    destination: { ports: [pick([80, 82, nodePort, 10250])] },
  })
  const documents = made.policies.split('\n---\n').map((text): Document => {
    const document = JSON.parse(text) as Document
    const { tier, order } = document.spec
    switch (pick(['untracked', 'pre-dnat', 'normal', 'forward', 'forward'])) {
      case 'untracked':
        return {
          ...document,
          spec: {
            tier,
            order,
            selector: 'has(host)',
            doNotTrack: true,
            applyOnForward: true,
            ingress: [untracked(), untracked()],
            egress: [untracked()],
          },
        }
      case 'pre-dnat':
        return {
          ...document,
          spec: {
            tier,
            order,
            selector: 'has(host)',
            preDNAT: true,
            applyOnForward: true,
            ingress: document.spec.ingress ?? [untracked()],
          },
        }
      case 'normal':
        return document
      default:
        return { ...document, spec: { ...document.spec, applyOnForward: true } }
    }
  })
  return { tiers: made.tiers, policies: documents.map((one) => JSON.stringify(one)).join('\n---\n') }
}

describe.skipIf(reason !== null)('stages of host endpoints on a real kernel', { timeout: 60_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let self: Place
  let base: string
  const verdicts: boolean[] = []
  const children: ChildProcess[] = []

  beforeAll(async () => {
    node = createTestNode(2)
    self = { netns: node.netns, ip: node.uplink.ip, ip6: node.uplink.ip6 }
    base =
      namespace('shop', '{team: x}') +
      node.pods
        .map(({ ip, ip6 }, index) => pod({ name: `pod${index + 1}`, ips: [ip, ip6], labels: `{app: ${'ac'[index]}}` }))
        .join('')
    const backend = node.pods[0]?.ip
    node.run(
      'nft',
      `table ip translation {
         chain before { type nat hook prerouting priority dstnat;
           ip daddr ${self.ip} tcp dport ${nodePort} dnat to ${backend}:80
           ip daddr ${clusterIp} tcp dport 80 dnat to ${backend}:80; }
         chain after { type nat hook postrouting priority srcnat; ip saddr ${backend} ip daddr ${backend} masquerade; }
       }`,
    )
    cluster = createTestCluster()
    await cluster.apply(machines('Drop') + base)
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

  const seeds = Array.from({ length: process.env.MARGAY_NIGHTLY === '1' ? 60 : 2 }, (_, index) => index + 1)
  test.each(seeds)('random policies in every stage decide as the evaluator says (policies %i)', async (seed) => {
    const random = createRandom(seed * 31)
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
    const { tiers, policies } = stagedPolicies(seed)
    const texts = [
      machines(pick(['Drop', 'Return', 'Return', 'Accept'])) + base,
      host(pick(['wire0', '*']), pick(['[]', '[projectcalico-default-allow]'])),
      tiers,
      policies,
    ]
    for (const text of texts) await cluster.apply(text)
    await running.agent.programmer.settled()
    const [first, second] = [node.pods[0] as Place, node.pods[1] as Place]
    const addresses = { [self.ip]: nodePort, [clusterIp]: 80 }
    const flows: [Place, Place][] = [
      [node.outside, first],
      [node.outside, second],
      [node.outside, self],
      [self, node.outside],
      [first, node.outside],
      [second, node.outside],
      [first, second],
      [second, first],
      [first, self],
      [second, self],
      [self, first],
    ]
    const plain = flows.flatMap(([from, to]): { probe: Probe; packet: Packet }[] =>
      (['tcp', 'tcp', 'tcp6', 'icmp'] as const).map((kind) => {
        const probe: Probe = {
          from,
          to: kind === 'tcp6' ? to.ip6 : to.ip,
          protocol: kind === 'icmp' ? 'icmp' : 'tcp',
          port: pick([80, 81, 82, 22, 90, 10250]),
        }
        return { probe, packet: packetOf(probe) }
      }),
    )
    const translated = Object.entries(addresses).flatMap(([ip, port]) =>
      [node.outside, first, second].map((from) => {
        const probe: Probe = { from, to: ip, protocol: 'tcp', port }
        const packet = { ...packetOf(probe), destinationIp: first.ip, destinationPort: 80, addressed: { ip, port } }
        return { probe, packet }
      }),
    )
    const all = [...plain, ...translated]
    const model = clusterOf(...texts)
    const answered = await runProbes(all.map(({ probe }) => probe))
    // On a busy machine a process may take longer to start than a probe may last.
    const differs = ({ probe, packet }: (typeof all)[number]) =>
      answered.get(probe) !== (evaluate(model, packet).verdict === 'allow')
    for (const one of all.filter(differs))
      for (const [probe, isAnswered] of await runProbes([one.probe])) answered.set(probe, isAnswered)
    for (const { probe, packet } of all) {
      const { verdict, egress, ingress, transit } = evaluate(model, packet)
      const said = [egress, ingress, transit.egress, transit.ingress].map(
        (one) => one && [one.verdict, one.exempt ?? one.trace.map(formatTrace)],
      )
      const where = JSON.stringify({ packet, said, texts })
      expect(answered.get(probe) ? 'allow' : 'deny', where).toBe(verdict)
    }
    verdicts.push(...answered.values())
    await cluster.remove(policies)
    await cluster.remove(texts[1] as string)
    await running.agent.programmer.settled()
  })

  test('both verdicts were met', () => {
    expect(new Set(verdicts).size).toBe(2)
  })
})
