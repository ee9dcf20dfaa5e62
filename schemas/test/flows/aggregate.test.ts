import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { flow } from '../../src/events/flow.ts'
import { validateEvent } from '../../src/events/validation.ts'
import { createFlowAggregator, type FlowAggregator } from '../../src/flows/aggregate.ts'
import { defaultFlowSettings, type FlowLevels } from '../../src/flows/settings.ts'
import type { FlowUpdate } from '../../src/flows/update.ts'
import { type Cluster, createCluster } from '../../src/policy/cluster.ts'
import type { TraceEntry } from '../../src/policy/model.ts'
import { parseResources } from '../../src/resources/parse.ts'

const pod = (name: string, ip: string, labels: string) => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}-abcde, generateName: ${name}-, namespace: shop, labels: ${labels}}
spec: {nodeName: node1, containers: [{name: main, image: main}]}
status: {phase: Running, podIP: ${ip}}
---`

const resources = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {kind: partner}}
spec: {nets: [198.51.100.0/24]}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: no-partners}
spec:
  selector: app == 'web'
  types: [Egress]
  egress: [{action: Deny, destination: {selector: kind == 'partner'}}, {action: Allow}]
---
${pod('web', '10.0.0.1', '{app: web, tier: front, pod: one}')}
${pod('web', '10.0.0.2', '{app: web, tier: front, pod: two}').replace('web-abcde', 'web-fghij')}
${pod('db', '10.0.0.3', '{app: db}')}
`

function cluster(): Cluster {
  const made = createCluster()
  for (const { resource } of parseResources(resources).resources) made.apply(resource)
  return made
}

const hit = (name: string, action: TraceEntry['action'] = 'allow'): TraceEntry => ({
  index: 0,
  ref: { kind: 'gnp', tier: 'default', namespace: null, name },
  staged: false,
  action,
  ruleIndex: 0,
})

function update(over: Partial<FlowUpdate> & { from?: string; to?: string; sourcePort?: number } = {}): FlowUpdate {
  const { from = '10.0.0.1', to = '10.0.0.3', sourcePort = 40_000, ...rest } = over
  return {
    reporter: 'src',
    action: 'allow',
    packet: { sourceIp: from, destinationIp: to, protocol: 6, sourcePort, destinationPort: 5432 },
    enforced: [hit('allow-db')],
    service: null,
    bytesIn: 10,
    bytesOut: 20,
    packetsIn: 1,
    packetsOut: 2,
    started: 1,
    completed: 0,
    ...rest,
  }
}

let aggregator: FlowAggregator
const at = (levels: FlowLevels) => ({ ...defaultFlowSettings, levels })
const make = (levels: FlowLevels = defaultFlowSettings.levels) =>
  createFlowAggregator({ model: cluster(), cluster: 'c', host: 'node1', settings: at(levels), start: 1000 })
beforeEach(() => {
  aggregator = make()
})

test('connections of pods with one prefix become one event with the labels they share', () => {
  aggregator.add(update())
  aggregator.add(update({ started: 0, completed: 1 }))
  aggregator.add(update({ from: '10.0.0.2' }))
  const events = aggregator.flush(2000)
  expect(events.length).toBe(1)
  expect(validateEvent(flow, events[0])).toBeNull()
  expect(events[0]).toMatchObject({
    start_time: 1000,
    end_time: 2000,
    source_ip: null,
    source_port: null,
    source_name: '-',
    source_name_aggr: 'web-*',
    source_labels: ['app=web', 'tier=front'],
    dest_name_aggr: 'db-*',
    dest_port: 5432,
    proto: 'tcp',
    enforced_policies: ['0|default|default.allow-db|allow|0'],
    bytes_in: 30,
    bytes_out: 60,
    packets_in: 3,
    packets_out: 6,
    num_flows: 2,
    num_flows_started: 2,
    num_flows_completed: 1,
  })
  expect(aggregator.flush(3000)).toEqual([])
})

test.each([
  [0, { source_ip: '10.0.0.1', source_port: 40_000, source_name: 'web-abcde', dest_port: 5432 }],
  [1, { source_ip: '10.0.0.1', source_port: null, source_name: 'web-abcde', dest_port: 5432 }],
  [2, { source_ip: null, source_port: null, source_name: '-', dest_port: 5432 }],
  [3, { source_ip: null, source_port: null, source_name: '-', dest_port: null, dest_service_port: '-' }],
] as const)('level %i keeps what the specification says', (level, kept) => {
  const levels: FlowLevels = { allowed: 2, denied: level }
  const denied = make(levels)
  const service = {
    namespace: 'shop',
    name: 'db',
    portName: 'sql',
    port: 5432,
    protocol: 6,
    clusterIps: ['10.96.0.1'],
    nodePort: null,
    targetPort: 5432,
  }
  denied.add(update({ action: 'deny', enforced: [hit('deny', 'deny')], service }))
  expect(denied.flush(2000)[0]).toMatchObject({ ...kept, dest_service_name: 'db', dest_service_namespace: 'shop' })
})

test('a key decided by different rules is shared out over events, not repeated', () => {
  aggregator.add(update({ enforced: [hit('one')] }))
  aggregator.add(update({ from: '10.0.0.2', enforced: [hit('two')], bytesOut: 5 }))
  const events = aggregator.flush(2000)
  expect(events.map((e) => [e.enforced_policies[0], e.bytes_out, e.num_flows])).toEqual([
    ['0|default|default.one|allow|0', 20, 1],
    ['0|default|default.two|allow|0', 5, 1],
  ])
})

test('pending policies are those of the flush, staged ones as if enforced', () => {
  const model = cluster()
  const current = createFlowAggregator({ model, cluster: 'c', host: 'node1', start: 1000 })
  current.add(update({ to: '198.51.100.7' }))
  expect(current.flush(2000)[0]).toMatchObject({
    dest_type: 'ns',
    dest_name_aggr: 'partners',
    dest_name: '-',
    pending_policies: ['0|default|staged:default.no-partners|deny|0'],
  })
  current.add(update({ to: '198.51.100.7' }))
  model.remove('stagedglobalnetworkpolicies.projectcalico.org/-/no-partners')
  expect(current.flush(3000)[0]?.pending_policies).toEqual(['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'])
})

test('at most five names of the destination are kept', () => {
  for (let i = 0; i < 7; i += 1) aggregator.add(update({ to: '203.0.113.9', domains: [`d${i}.example`] }))
  expect(aggregator.flush(2000)[0]?.dest_domains).toEqual([0, 1, 2, 3, 4].map((i) => `d${i}.example`))
})

test('ICMP echoes with different ids are different flows without ports', () => {
  const packet = {
    sourceIp: '10.0.0.1',
    destinationIp: '10.0.0.3',
    protocol: 1,
    sourcePort: null,
    destinationPort: null,
    icmp: { type: 8, code: 0 },
  }
  aggregator.add(update({ packet, discriminator: 1 }))
  aggregator.add(update({ packet, discriminator: 2 }))
  expect(aggregator.flush(2000)).toMatchObject([{ proto: 'icmp', dest_port: null, num_flows: 2 }])
})

test('names taken at the start of a connection stay, whatever becomes of the pod', () => {
  const model = cluster()
  const source = model.identify('10.0.0.1', null)
  const destination = model.identify('10.0.0.3', null)
  const current = createFlowAggregator({ model, cluster: 'c', host: 'node1', start: 0 })
  model.remove('pods.core/shop/db-abcde')
  current.add(update({ source, destination }))
  expect(current.flush(1)[0]).toMatchObject({ dest_name_aggr: 'db-*', dest_type: 'wep' })
})

const arbitraryUpdate = fc
  .record({
    from: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '203.0.113.1', '10.9.9.9'),
    to: fc.constantFrom('10.0.0.1', '10.0.0.3', '198.51.100.1', '198.51.100.2', '203.0.113.1'),
    sourcePort: fc.integer({ min: 1, max: 4 }),
    reporter: fc.constantFrom('src' as const, 'dst' as const),
    action: fc.constantFrom('allow' as const, 'deny' as const),
    policy: fc.constantFrom('a', 'b', 'c'),
    bytesIn: fc.nat(1000),
    bytesOut: fc.nat(1000),
    packetsIn: fc.nat(10),
    packetsOut: fc.nat(10),
    started: fc.nat(1),
    completed: fc.nat(1),
  })
  .map(({ policy, ...rest }) => update({ ...rest, enforced: [hit(policy, rest.action)] }))

test('nothing is counted twice and nothing is lost, whatever the levels, the limit and the moments of the flush', () => {
  const model = cluster()
  const level = fc.record({
    allowed: fc.constantFrom(0, 1, 2),
    denied: fc.constantFrom(0, 1, 2, 3),
  }) as fc.Arbitrary<FlowLevels>
  const step = fc.oneof(
    { weight: 8, arbitrary: arbitraryUpdate },
    { weight: 1, arbitrary: fc.constant('flush' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), level, fc.constantFrom(0, 1, 3, 50), (steps, levels, limit) => {
      const current = createFlowAggregator({
        model,
        cluster: 'c',
        host: 'node1',
        settings: at(levels),
        start: 0,
        limit,
      })
      let now = 0
      const events = steps.flatMap((item) => {
        now += 1
        if (item === 'flush') return current.flush(now)
        current.add(item)
        return []
      })
      events.push(...current.flush(now + 1))
      const updates = steps.filter((item) => item !== 'flush')
      const sum = (list: readonly object[], key: string) =>
        list.reduce((total, item) => total + Number((item as Record<string, unknown>)[key]), 0)
      for (const [column, field] of [
        ['bytes_in', 'bytesIn'],
        ['bytes_out', 'bytesOut'],
        ['packets_in', 'packetsIn'],
        ['packets_out', 'packetsOut'],
        ['num_flows_started', 'started'],
        ['num_flows_completed', 'completed'],
      ] as const)
        expect(sum(events, column)).toBe(sum(updates, field))
      for (const action of ['allow', 'deny'] as const)
        expect(
          sum(
            events.filter((e) => e.action === action),
            'bytes_in',
          ),
        ).toBe(
          sum(
            updates.filter((u) => u.action === action),
            'bytesIn',
          ),
        )
      for (const event of events) expect(validateEvent(flow, event)).toBeNull()
    }),
    { numRuns: 60 },
  )
})

test('num_flows counts each connection of an interval once', () => {
  const model = cluster()
  fc.assert(
    fc.property(fc.array(arbitraryUpdate, { maxLength: 30 }), (updates) => {
      const current = createFlowAggregator({ model, cluster: 'c', host: 'node1', start: 0 })
      for (const item of updates) current.add(item)
      const distinct = new Set(
        updates.map((u) => JSON.stringify([u.reporter, u.action, u.packet, u.enforced.map((e) => e.ref.name)])),
      )
      expect(current.size).toBe(distinct.size)
      expect(current.flush(1).reduce((total, event) => total + event.num_flows, 0)).toBe(distinct.size)
    }),
    { numRuns: 60 },
  )
})

test('connections beyond the limit are told without addresses, then without ports, and each is counted once', () => {
  const small = createFlowAggregator({
    model: cluster(),
    cluster: 'c',
    host: 'node1',
    settings: at({ allowed: 0, denied: 0 }),
    start: 0,
    limit: 1,
  })
  const marks = [{ interval: -1 }, { interval: -1 }]
  const many = (sourcePort: number, destinationPort: number, mark = marks[0]): FlowUpdate => ({
    ...update({ packet: { ...update().packet, sourcePort, destinationPort } }),
    ...(mark === undefined ? {} : { mark }),
  })
  small.add(many(1, 80))
  small.add(many(2, 81))
  small.add({ ...many(2, 81), started: 0, completed: 1 })
  small.add(many(3, 81, marks[1]))
  small.add(many(4, 82, { interval: -1 }))
  small.add(many(5, 83, { interval: -1 }))
  expect(
    small.flush(1).map((e) => [e.source_ip, e.dest_port, e.num_flows, e.num_flows_started, e.num_flows_completed]),
  ).toEqual([
    ['10.0.0.1', 80, 1, 1, 0],
    [null, 81, 2, 2, 1],
    [null, null, 2, 2, 0],
  ])
  expect(small.coarse).toBe(5)
  small.add({ ...many(1, 80), started: 0 })
  small.add({ ...many(2, 81), started: 0 })
  small.add({ ...many(2, 81), started: 0 })
  expect(small.flush(2).map((e) => [e.dest_port, e.num_flows])).toEqual([
    [80, 1],
    [81, 1],
  ])
})

test('after a change of policy, pending policies are worked out in parts; those that do not follow policy stay', () => {
  const model = cluster()
  const options = { model, cluster: 'c', host: 'node1', start: 0 }
  const current = createFlowAggregator(options)
  const steady = createFlowAggregator({ ...options, settings: { ...defaultFlowSettings, reevaluates: false } })
  for (let port = 1; port <= 5; port += 1)
    for (const one of [current, steady]) one.add(update({ to: '198.51.100.7', sourcePort: port }))
  expect(current.reevaluate(2)).toBe(true)
  model.remove('stagedglobalnetworkpolicies.projectcalico.org/-/no-partners')
  expect([current.reevaluate(2), current.reevaluate(2), current.reevaluate(2)]).toEqual([false, false, true])
  expect(current.flush(1)).toMatchObject([
    { num_flows: 5, pending_policies: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'] },
  ])
  expect(steady.flush(1)).toMatchObject([
    { num_flows: 5, pending_policies: ['0|default|staged:default.no-partners|deny|0'] },
  ])
})

test('source ports after SNAT are kept, three at most', () => {
  for (const natPort of [7, 8, 7, 9, 10]) aggregator.add(update({ natPort }))
  expect(aggregator.flush(2)[0]?.nat_outgoing_ports).toEqual([7, 8, 9])
  aggregator.add(update())
  expect(aggregator.flush(3)[0]).not.toHaveProperty('nat_outgoing_ports')
})

test('statistics of TCP are means and extremes over what was seen, and sums of what was lost', () => {
  const sample = { congestionWindow: 10, smoothRtt: 100, minRtt: 50, mss: 1400, retransmissions: 1, lost: 2 }
  aggregator.add(update({ tcp: sample }))
  aggregator.add(update({ tcp: { ...sample, congestionWindow: 5, smoothRtt: 301, minRtt: 40, retransmissions: 0 } }))
  aggregator.add(update({ from: '10.0.0.2', tcp: { ...sample, smoothRtt: 0, minRtt: 0xffff_ffff, mss: 500 } }))
  const [event] = aggregator.flush(2)
  expect(validateEvent(flow, event)).toBeNull()
  expect(event).toMatchObject({
    num_flows: 2,
    tcp_mean_send_congestion_window: 8,
    tcp_min_send_congestion_window: 5,
    tcp_mean_smooth_rtt: 201,
    tcp_max_smooth_rtt: 301,
    tcp_mean_min_rtt: 45,
    tcp_max_min_rtt: 50,
    tcp_mean_mss: 1100,
    tcp_min_mss: 500,
    tcp_total_retransmissions: 2,
    tcp_lost_packets: 6,
  })
})
