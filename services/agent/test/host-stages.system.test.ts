import { type Evaluation, evaluate, type FlowEvent, type Packet } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { arrivals, fire, type Shot, type Watch, watch } from './arrivals.ts'
import { clusterOf, namespace, pod } from './cluster.ts'
import { recordDifferences } from './host-records.ts'
import { randomHostPolicies, randomHosts } from './host-stages.ts'
import { createTestNode, type TestNode, whyNot } from './node.ts'
import { type Place, packetOf } from './probes.ts'
import { createRandom } from './random-policies.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from './running-agent.ts'

const reason = whyNot()
if (reason !== null) console.warn(`host stages system test skipped: ${reason}`)

const felix = (toHost: string) => `
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  defaultEndpointToHostAction: ${toHost}
  flowLogsPolicyScope: AllPolicies
  flowLogsFileAggregationKindForAllowed: 0
  flowLogsFileAggregationKindForDenied: 0
---
`
const machines = `
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 10.78.0.1}, {type: InternalIP, address: 'fd78::1'}, {type: InternalIP, address: 10.79.0.1}, {type: InternalIP, address: 'fd79::1'}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside, labels: {app: a}}
spec: {nets: [10.78.0.2/32, 'fd78::2/128']}
---
`
/** Ports of the node that lead elsewhere: to the first pod, and to the machine behind the other wire. */
const doors = { 30080: 'pod', 30081: 'further' } as const
const isNightly = process.env.MARGAY_NIGHTLY === '1'
const worlds = Array.from({ length: isNightly ? 150 : 10 }, (_, index) => index + 1)
const shotsPerWorld = 120

describe.skipIf(reason !== null)('stages of host endpoints on a real kernel', { timeout: 60_000 }, () => {
  let node: TestNode
  let cluster: TestCluster
  let running: RunningAgent
  let base: string
  let self: Place
  let further: Place
  let places: Map<string, Watch & Place>

  beforeAll(async () => {
    node = createTestNode(2)
    self = { netns: node.netns, ip: node.uplink.ip, ip6: node.uplink.ip6 }
    further = node.further.outside
    places = new Map(
      [
        ...[...node.pods, node.outside, further].map((place) => ({ ...place, isNode: false })),
        { ...self, isNode: true },
      ].map((place) => [place.netns, place]),
    )
    for (const place of places.values()) watch(place)
    for (const [family, toPod, toFurther] of [
      ['ip', (node.pods[0] as Place).ip, further.ip],
      ['ip6', `[${(node.pods[0] as Place).ip6}]`, `[${further.ip6}]`],
    ]) {
      node.run('nft', `add table ${family} doors`)
      node.run('nft', `add chain ${family} doors door { type nat hook prerouting priority -100; }`)
      for (const protocol of ['tcp', 'udp']) {
        const rule = `add rule ${family} doors door fib daddr type local ${protocol} dport`
        node.run('nft', `${rule} 30080 dnat to ${toPod}:80`)
        node.run('nft', `${rule} 30081 dnat to ${toFurther}:80`)
      }
    }
    base =
      machines +
      namespace('shop', '{team: x}') +
      node.pods
        .map(({ ip, ip6 }, index) => pod({ name: `pod${index + 1}`, ips: [ip, ip6], labels: `{app: ${'ac'[index]}}` }))
        .join('')
    cluster = createTestCluster()
    await cluster.apply(base + felix('Return'))
    running = await cluster.startAgent(node)
  })

  afterAll(async () => {
    await running?.stop()
    node?.remove()
  })

  async function newFlows(): Promise<FlowEvent[]> {
    const before = cluster.flows().length
    await running.agent.flush()
    return cluster.flows().slice(before)
  }

  let sourcePort = 40_000
  const shot = (from: Place, to: string, protocol: Shot['protocol'], port: number): Shot => {
    sourcePort = sourcePort >= 60_000 ? 40_001 : sourcePort + 1
    return { from, to, protocol, port, sourcePort }
  }

  /** The packet as its destination sees it, with what was addressed, and the interfaces it passes. */
  function seenPacket(probe: Shot): Packet {
    const packet: Packet = {
      ...packetOf(probe),
      ...(probe.protocol === 'icmp' ? {} : { sourcePort: probe.sourcePort }),
    }
    const isV6 = probe.to.includes(':')
    const isDoor = probe.to === self.ip || probe.to === self.ip6
    const door = isDoor && probe.protocol !== 'icmp' ? doors[probe.port as keyof typeof doors] : undefined
    const target = door === undefined ? null : door === 'pod' ? (node.pods[0] as Place) : further
    const ends: Packet =
      target === null
        ? packet
        : {
            ...packet,
            destinationIp: isV6 ? target.ip6 : target.ip,
            destinationPort: 80,
            addressed: { ip: probe.to, port: probe.port },
          }
    const wireOf = (ip: string) =>
      [node.outside, further].findIndex((machine) => machine.ip === ip || machine.ip6 === ip)
    const [inWire, outWire] = [wireOf(ends.sourceIp), wireOf(ends.destinationIp)]
    const interfaces = {
      ...(inWire < 0 ? {} : { in: `wire${inWire}` }),
      ...(outWire < 0 ? {} : { out: `wire${outWire}` }),
    }
    return { ...ends, interfaces }
  }

  function randomShot(random: (below: number) => number): Shot {
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
    const [one, two] = [node.pods[0] as Place, node.pods[1] as Place]
    const [from, to] = pick([
      [node.outside, self],
      [node.outside, self],
      [node.outside, self],
      [node.outside, one],
      [node.outside, two],
      [one, self],
      [two, self],
      [one, two],
      [one, node.outside],
      [two, further],
      [self, node.outside],
      [self, node.outside],
      [{ ...node.further.uplink, netns: node.netns }, further],
      [self, one],
    ] as const)
    const protocol = pick(['tcp', 'tcp', 'udp', 'udp', 'icmp'] as const)
    const ports = [80, 81, 82, 22, 90, 99, 53, ...(to === self ? [30_080, 30_081, 30_080, 30_081] : [])]
    return shot(from, random(3) === 0 ? to.ip6 : to.ip, protocol, pick(ports))
  }

  const counts = { shots: 0, denied: 0, records: 0, stages: new Map<string, number>() }

  test.each(worlds)('random policies in all stages decide as the evaluator says (world %i)', async (seed) => {
    const { tiers, policies } = randomHostPolicies(seed)
    const hosts = randomHosts(seed)
    const toHost = ['Return', 'Return', 'Drop', 'Accept'][seed % 4] as string
    const texts = [base, felix(toHost), hosts, tiers, policies]
    await newFlows()
    for (const text of texts) await cluster.apply(text)
    await running.agent.programmer.settled()
    // Connections that are there when host endpoints come are told as old ones.
    await newFlows()
    const model = clusterOf(...texts)
    const untracked = new Set(
      model.tiers().flatMap((tier) => tier.policies.filter((p) => p.doNotTrack).map((p) => p.ref.name)),
    )
    const random = createRandom(seed * 31)
    const shots = Array.from({ length: shotsPerWorld }, () => randomShot(random))
    for (const place of places.values()) arrivals(place)
    await fire(shots)
    const arrived = new Map([...places].map(([netns, place]) => [netns, arrivals(place)]))
    // A record may wait for a second reading of the table; the third is for busy machines.
    const flows = [...(await newFlows()), ...(await newFlows()), ...(await newFlows())]
    const differences: unknown[] = []
    const isUntracked = (judgement: Evaluation['egress']) => {
      const last = judgement?.trace.at(-1)
      return last !== undefined && untracked.has(last.ref.name)
    }
    for (const probe of shots) {
      let packet = seenPacket(probe)
      let expected = evaluate(model, packet)
      // Nothing is translated that is not tracked: such a packet stays with the node.
      const { addressed, ...rest } = packet
      const passed = [expected.transit.ingress, expected.transit.egress].filter(isUntracked)
      if (addressed !== undefined && passed.some((judgement) => judgement?.trace.at(-1)?.action === 'allow')) {
        packet = { ...rest, destinationIp: addressed.ip, destinationPort: addressed.port }
        expected = evaluate(model, packet)
      }
      const target = [...places.values()].find(({ ip, ip6 }) => [ip, ip6].includes(packet.destinationIp))
      const key = `${packet.protocol} ${probe.sourcePort}`
      const got = arrived.get(target?.netns as string)?.has(key) === true
      counts.shots += 1
      if (!got) counts.denied += 1
      note(expected)
      const where = { packet, expected: JSON.stringify({ ...expected, pending: undefined }) }
      if (got !== (expected.verdict === 'allow')) differences.push({ ...where, got })
      if (probe.protocol === 'icmp') continue
      const known = flows.filter((flow) => flow.source_port === probe.sourcePort && flow.proto === probe.protocol)
      const told = recordDifferences(known, { packet, expected, isUntracked, model, node: 'node1' })
      counts.records += told.compared
      for (const difference of told.differences) differences.push({ ...where, ...difference })
    }
    await cluster.remove(policies)
    await cluster.remove(hosts)
    expect(differences, texts.slice(1).join('\n---\n')).toEqual([])
  })

  function note({ egress, ingress, transit }: Evaluation): void {
    const parts = { egress, ingress, 'transit.egress': transit.egress, 'transit.ingress': transit.ingress }
    for (const [part, judgement] of Object.entries(parts)) {
      if (judgement === null) continue
      const name = `${part} ${judgement.exempt ?? judgement.verdict}`
      counts.stages.set(name, (counts.stages.get(name) ?? 0) + 1)
    }
  }

  test('every stage had its say, and records told of it', () => {
    expect(counts.shots).toBe(worlds.length * shotsPerWorld)
    expect(counts.denied).toBeGreaterThan(counts.shots / 4)
    expect(counts.shots - counts.denied).toBeGreaterThan(counts.shots / 4)
    expect(counts.records).toBeGreaterThan(counts.shots / 3)
    for (const part of ['egress', 'ingress', 'transit.egress', 'transit.ingress'])
      for (const verdict of ['allow', 'deny'])
        expect(counts.stages.get(`${part} ${verdict}`), `${part} ${verdict}`).toBeGreaterThan(worlds.length * 2)
  })
})
