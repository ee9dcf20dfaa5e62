import { type FlowUpdate, formatTrace } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDestinationNames } from '../../src/dns/destination-names.ts'
import type { Judged } from '../../src/flows/assembly.ts'
import { createConnections } from '../../src/flows/connections.ts'
import type { ConntrackEntry, Tuple } from '../../src/netlink/conntrack.ts'
import type { RuleHit } from '../../src/nftables/names.ts'
import { clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

const policies = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports: [{name: http, port: 8080, targetPort: 80, protocol: TCP}]
---
`
const model = clusterOf(
  namespace('shop'),
  policies,
  pod({ name: 'client', ips: ['10.0.0.1'] }),
  pod({ name: 'web', ips: ['10.0.0.2'], labels: '{app: web}' }),
  pod({ name: 'far', ips: ['10.0.9.9'], node: 'node2' }),
)

const allowEgress: RuleHit = {
  direction: 'egress',
  stage: 'normal',
  action: 'allow',
  ref: { kind: 'profile', tier: '__PROFILE__', namespace: null, name: 'kns.shop' },
  ruleIndex: 0,
}
const webRef = { kind: 'gnp', tier: 'default', namespace: null, name: 'web' } as const
const doorRef = { kind: 'gnp', tier: 'default', namespace: null, name: 'door' } as const
const wireRef = { kind: 'gnp', tier: 'default', namespace: null, name: 'wire' } as const
const table: Record<string, RuleHit> = {
  'ARE0|kns.shop': allowEgress,
  'API0|web': { direction: 'ingress', stage: 'normal', action: 'allow', ref: webRef, ruleIndex: 0 },
  'DPIx|web': { direction: 'ingress', stage: 'normal', action: 'deny', ref: webRef, ruleIndex: -1 },
  'APIN0|door': { direction: 'ingress', stage: 'pre-dnat', action: 'allow', ref: doorRef, ruleIndex: 0 },
  'DPIN1|door': { direction: 'ingress', stage: 'pre-dnat', action: 'deny', ref: doorRef, ruleIndex: 1 },
  'APIF0|wire': { direction: 'ingress', stage: 'forward', action: 'allow', ref: wireRef, ruleIndex: 0 },
  'DPEF0|wire': { direction: 'egress', stage: 'forward', action: 'deny', ref: wireRef, ruleIndex: 0 },
}

const unnamed = { all: () => [], forClient: () => [] }

function harness() {
  const updates: FlowUpdate[] = []
  const connections = createConnections({
    names: unnamed,
    model,
    hit: (prefix) => table[prefix] ?? null,
    local: (ip) => {
      const endpoint = model.endpointByIp(ip)
      return endpoint?.node === 'node1' ? endpoint : null
    },
    isHost: (ip) => ip === '10.0.0.254',
    extent: () => '',
    emit: (update) => void updates.push(update),
  })
  connections.dumped([], true)
  return { connections, updates }
}

const tuple = (over: Partial<Tuple> = {}): Tuple => ({
  source: '10.0.0.1',
  destination: '10.0.0.2',
  protocol: 6,
  sourcePort: 40000,
  destinationPort: 80,
  ...over,
})

function judged(prefix: string, over: Partial<Judged> = {}): Judged {
  const hit = table[prefix] as RuleHit
  return {
    direction: hit.direction,
    stage: hit.stage,
    tuple: tuple(),
    verdict: hit.action === 'deny' ? 'deny' : 'allow',
    prefixes: [prefix],
    addressed: null,
    packets: 1,
    bytes: 60,
    ...over,
  }
}

function entry(packets: number, over: Partial<ConntrackEntry> = {}, t: Tuple = tuple()): ConntrackEntry {
  return {
    id: 1,
    original: t,
    reply: {
      ...t,
      source: t.destination,
      destination: t.source,
      sourcePort: t.destinationPort,
      destinationPort: t.sourcePort,
    },
    originalPackets: packets,
    originalBytes: packets * 100,
    replyPackets: packets * 2,
    replyBytes: packets * 1000,
    tcpState: 3,
    ...over,
  }
}

const short = (u: FlowUpdate) =>
  `${u.reporter} ${u.action} out ${u.packetsOut}/${u.bytesOut} in ${u.packetsIn}/${u.bytesIn} started ${u.started} completed ${u.completed}`

test('both ends of a connection on one node report it, each from its side, with growth only', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  connections.dumped([entry(3)], true)
  connections.dumped([entry(5)], true)
  connections.dumped([entry(5)], true)
  connections.ended([entry(6, { tcpState: 7 })])
  expect(updates.map(short)).toEqual([
    'src allow out 3/300 in 6/3000 started 1 completed 0',
    'dst allow out 6/3000 in 3/300 started 1 completed 0',
    'src allow out 2/200 in 4/2000 started 0 completed 0',
    'dst allow out 4/2000 in 2/200 started 0 completed 0',
    'src allow out 1/100 in 2/1000 started 0 completed 1',
    'dst allow out 2/1000 in 1/100 started 0 completed 1',
  ])
  expect(updates[0]?.enforced.map(formatTrace)).toEqual(['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'])
  expect(updates[1]?.enforced.map(formatTrace)).toEqual(['0|default|default.web|allow|0'])
  expect(connections.size).toEqual({ connections: 0, attempts: 0 })
})

test('a connection that was addressed to a service names it, and the pod that answered', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  const original = tuple({ destination: '10.96.0.1', destinationPort: 8080 })
  connections.dumped([{ ...entry(1), original }], true)
  expect(updates[0]).toMatchObject({
    service: { namespace: 'shop', name: 'web', portName: 'http' },
    packet: { destinationIp: '10.0.0.2', destinationPort: 80 },
  })
})

test('the source tells the port that SNAT gave a connection on its node', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  const { reply } = entry(1)
  connections.dumped([{ ...entry(1), reply: { ...reply, destination: '10.0.0.254', destinationPort: 1234 } }], true)
  expect(updates.map((u) => [u.reporter, u.natPort])).toEqual([
    ['src', 1234],
    ['dst', undefined],
  ])
})

test('a denied packet is told from the log; the source that let it out tells it too', () => {
  const { connections, updates } = harness()
  connections.judged(judged('DPIx|web'))
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('DPIx|web', { packets: 2, bytes: 120 }))
  connections.judged(judged('ARE0|kns.shop', { packets: 2, bytes: 120 }))
  expect(updates.map(short)).toEqual([
    'dst deny out 0/0 in 1/60 started 1 completed 1',
    'src allow out 1/60 in 0/0 started 1 completed 1',
    'dst deny out 0/0 in 2/120 started 0 completed 0',
    'src allow out 2/120 in 0/0 started 0 completed 0',
  ])
  for (let i = 0; i < 5; i += 1) connections.dumped([], true)
  expect(updates.length).toBe(4)
  expect(connections.size.attempts).toBe(0)
})

test('a denied connection tells the service that was addressed', () => {
  const { connections, updates } = harness()
  connections.judged(judged('DPIx|web', { addressed: { ip: '10.96.0.1', port: 8080 } }))
  connections.judged(judged('ARE0|kns.shop'))
  expect(updates.map((u) => [u.reporter, u.service?.name])).toEqual([
    ['dst', 'web'],
    ['src', 'web'],
  ])
})

test('what a host endpoint denies before DNAT is told of the address that was sent to; what it lets in, by the end where it goes', () => {
  const { connections, updates } = harness()
  const client = { source: '203.0.113.5', sourcePort: 40000 }
  const door = tuple({ ...client, destination: '10.0.0.254', destinationPort: 30080 })
  connections.judged(judged('DPIN1|door', { tuple: door }))
  expect(updates.map((u) => [short(u), u.packet.destinationIp, u.packet.destinationPort])).toEqual([
    ['dst deny out 0/0 in 1/60 started 1 completed 1', '10.0.0.254', 30080],
  ])
  expect(updates[0]?.enforced.map(formatTrace)).toEqual(['0|default|default.door|deny|1'])
  const next = { ...door, sourcePort: 40001 }
  const web = tuple({ ...client, sourcePort: 40001 })
  connections.judged(judged('APIN0|door', { tuple: next }))
  connections.judged(judged('API0|web', { tuple: web }))
  connections.dumped([entry(1, { original: next }, web)], true)
  for (let i = 0; i < 5; i += 1) connections.dumped([entry(1, { original: next }, web)], true)
  expect(updates.slice(1).map((u) => [u.reporter, u.action, u.packet.destinationIp, u.packet.addressed])).toEqual([
    ['dst', 'allow', '10.0.0.2', { ip: '10.0.0.254', port: 30080 }],
  ])
})

test('what a host endpoint denies on the way is told by the end at this node, whatever the log says first', () => {
  const out = tuple({ destination: '203.0.113.5' })
  for (const prefixes of [
    ['ARE0|kns.shop', 'DPEF0|wire'],
    ['DPEF0|wire', 'ARE0|kns.shop'],
  ]) {
    const { connections, updates } = harness()
    for (const prefix of prefixes) connections.judged(judged(prefix, { tuple: out }))
    for (let i = 0; i < 5; i += 1) connections.dumped([], true)
    expect(updates.map(short)).toEqual(['src deny out 1/60 in 0/0 started 1 completed 1'])
    expect(updates[0]?.enforced.map(formatTrace)).toEqual(['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'])
    expect(updates[0]?.transit?.map(formatTrace)).toEqual(['0|default|default.wire|deny|0'])
  }
  // Within the node both ends let it pass before; whatever comes last, one record tells of the denial.
  const within = harness()
  for (const prefix of ['ARE0|kns.shop', 'DPEF0|wire', 'API0|web']) within.connections.judged(judged(prefix))
  for (let i = 0; i < 5; i += 1) within.connections.dumped([], true)
  expect(within.updates.map(short)).toEqual(['src deny out 1/60 in 0/0 started 1 completed 1'])
  const { connections, updates } = harness()
  connections.judged(judged('APIF0|wire', { tuple: tuple({ source: '203.0.113.5' }) }))
  for (let i = 0; i < 5; i += 1) connections.dumped([], true)
  expect(updates).toEqual([])
})

test('what the log tells of a connection after it was told of is not another one', () => {
  const { connections, updates } = harness()
  const closed = { tcpState: 8 }
  for (let i = 0; i < 2; i += 1) connections.dumped([entry(2, closed)], true)
  const told = updates.length
  expect(updates.map(({ reporter, started }) => [reporter, started])).toEqual([
    ['src', 1],
    ['dst', 1],
  ])
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  for (let i = 0; i < 5; i += 1) connections.dumped([entry(2, closed)], true)
  expect(updates.length).toBe(told)
  expect(connections.size.attempts).toBe(0)
  const ended = harness()
  ended.connections.ended([entry(2)])
  ended.connections.dumped([], true)
  ended.connections.judged(judged('ARE0|kns.shop'))
  ended.connections.judged(judged('API0|web'))
  for (let i = 0; i < 5; i += 1) ended.connections.dumped([], true)
  expect(ended.updates.map(({ reporter, started }) => [reporter, started])).toEqual([
    ['src', 1],
    ['dst', 1],
  ])
})

test('an allowed connection that was dropped elsewhere is told from the log once it is sure', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop'))
  connections.dumped([], true)
  connections.dumped([], true)
  expect(updates).toEqual([])
  connections.dumped([], true)
  expect(updates.map(short)).toEqual(['src allow out 1/60 in 0/0 started 1 completed 1'])
})

test('a connection from before the agent is followed from now on, with the trace of present policy', () => {
  const updates: FlowUpdate[] = []
  const connections = createConnections({
    names: unnamed,
    model,
    hit: () => null,
    local: (ip) => model.endpointByIp(ip),
    isHost: () => false,
    extent: () => '',
    emit: (update) => void updates.push(update),
  })
  connections.dumped([entry(10)], true)
  expect(updates).toEqual([])
  connections.dumped([entry(12)], true)
  expect(updates.map(short)).toEqual([
    'src allow out 2/200 in 4/2000 started 0 completed 0',
    'dst allow out 4/2000 in 2/200 started 0 completed 0',
  ])
  expect(updates[1]?.enforced.map(formatTrace)).toEqual(['0|default|default.web|allow|0'])
})

test('one that had ended before the agent is not ended again', () => {
  const updates: FlowUpdate[] = []
  const connections = createConnections({
    names: unnamed,
    model,
    hit: () => null,
    local: (ip) => model.endpointByIp(ip),
    isHost: () => false,
    extent: () => '',
    emit: (update) => void updates.push(update),
  })
  connections.ended([entry(3, { id: 9, tcpState: 8 }, tuple({ sourcePort: 1 }))])
  connections.dumped([entry(10, { tcpState: 7 })], true)
  connections.ended([entry(10, { tcpState: 7 })])
  expect(updates).toEqual([])
})

test('a connection whose verdict comes after it was seen waits for it', () => {
  const { connections, updates } = harness()
  connections.dumped([entry(1)], true)
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  expect(updates).toEqual([])
  connections.dumped([entry(2)], true)
  expect(updates.map(short)[0]).toBe('src allow out 2/200 in 4/2000 started 1 completed 0')
})

test('one that came and went between two dumps is told from its end', () => {
  const { connections, updates } = harness()
  connections.ended([entry(4, { tcpState: 8 })])
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  connections.dumped([], true)
  expect(updates.map(short)).toEqual([
    'src allow out 4/400 in 8/4000 started 1 completed 1',
    'dst allow out 8/4000 in 4/400 started 1 completed 1',
  ])
})

test('packets that a new rule denies within a known connection are not counted as allowed', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop'))
  connections.judged(judged('API0|web'))
  connections.dumped([entry(2, { replyPackets: 0, replyBytes: 0 })], true)
  updates.length = 0
  connections.judged(judged('DPIx|web', { packets: 3, bytes: 300 }))
  connections.dumped([entry(5, { replyPackets: 0, replyBytes: 0 })], true)
  expect(updates.map(short)).toEqual([
    'dst deny out 0/0 in 3/300 started 1 completed 1',
    'src allow out 3/300 in 0/0 started 0 completed 0',
  ])
})

test('the host’s own traffic to its pods, and strangers’ traffic, is not told', () => {
  const { connections, updates } = harness()
  connections.dumped(
    [
      entry(1, { id: 2 }, tuple({ source: '10.0.0.254' })),
      entry(1, { id: 3 }, tuple({ source: '1.1.1.1', destination: '2.2.2.2' })),
    ],
    true,
  )
  connections.dumped([entry(2, { id: 2 }, tuple({ source: '10.0.0.254' }))], true)
  expect(updates).toEqual([])
})

test('a connection whose end was lost is over when two dumps lack it', () => {
  const { connections, updates } = harness()
  connections.judged(judged('ARE0|kns.shop', { tuple: tuple({ destination: '10.0.9.9' }) }))
  connections.dumped([entry(1, {}, tuple({ destination: '10.0.9.9' }))], true)
  connections.dumped([], true)
  connections.dumped([], true)
  expect(updates.map(short)).toEqual([
    'src allow out 1/100 in 2/1000 started 1 completed 0',
    'src allow out 0/0 in 0/0 started 0 completed 1',
  ])
})

test('however dumps and ends interleave, the sum of the updates is the last counter', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      (growth, ends) => {
        const { connections, updates } = harness()
        connections.judged(judged('ARE0|kns.shop'))
        connections.judged(judged('API0|web'))
        let total = 0
        for (const step of growth) {
          total += step
          connections.dumped([entry(total)], true)
        }
        if (ends) connections.ended([entry(total + 1, { tcpState: 7 })])
        const src = updates.filter((u) => u.reporter === 'src')
        const sum = (key: 'packetsOut' | 'bytesIn' | 'started' | 'completed') => src.reduce((all, u) => all + u[key], 0)
        expect(sum('packetsOut')).toBe(ends ? total + 1 : total)
        expect(sum('bytesIn')).toBe((ends ? total + 1 : total) * 1000)
        expect(sum('started')).toBe(1)
        expect(sum('completed')).toBe(ends ? 1 : 0)
      },
    ),
  )
})

/** Connections of a node whose address 10.0.0.254 is guarded by a host endpoint. */
function hostHarness(toHost: 'Drop' | 'Return') {
  const updates: FlowUpdate[] = []
  const own = clusterOf(
    namespace('shop'),
    pod({ name: 'client', ips: ['10.0.0.1'] }),
    hostEndpoint({ name: 'host', interfaceName: 'eth0', ips: ['10.0.0.254'] }),
    `{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: default}, spec: {defaultEndpointToHostAction: ${toHost}}}`,
  )
  let extent = ''
  const connections = createConnections({
    names: unnamed,
    model: own,
    hit: () => null,
    local: (ip) => own.endpointByIp(ip),
    isHost: (ip) => ['10.0.0.254', '10.0.0.253'].includes(ip),
    extent: () => extent,
    emit: (update) => void updates.push(update),
  })
  connections.dumped([], true)
  return {
    connections,
    updates,
    setExtent(text: string) {
      extent = text
    },
  }
}
const toHost = (over: Partial<Tuple>) =>
  entry(3, {}, tuple({ source: '192.0.2.9', destination: '10.0.0.254', ...over }))

test('a connection to a failsafe port is told at once, with an empty trace', () => {
  const { connections, updates } = hostHarness('Drop')
  connections.dumped([toHost({ destinationPort: 22 })], true)
  expect(updates.map(short)).toEqual(['dst allow out 6/3000 in 3/300 started 1 completed 0'])
  expect(updates[0]).toMatchObject({ enforced: [], destination: { type: 'hep', nameAggr: 'node1', namespace: '-' } })
})

test('a connection that ends while the table is read is told once', () => {
  const { connections, updates } = hostHarness('Drop')
  const present = toHost({ destinationPort: 22 })
  connections.ended([present])
  connections.dumped([present], true)
  for (let i = 0; i < 3; i += 1) connections.dumped([], true)
  expect(updates.map(({ reporter, started, completed }) => [reporter, started, completed])).toEqual([['dst', 1, 1]])
})

test('a host endpoint tells nothing about what stays on the node, but for workloads that are left to it', () => {
  const within = [
    toHost({ source: '10.0.0.253' }),
    entry(3, { id: 2 }, tuple({ source: '10.0.0.254', destination: '10.0.0.1' })),
    { ...toHost({ source: '10.0.0.1', destinationPort: 22 }), id: 3 },
  ]
  const told = (action: 'Drop' | 'Return') => {
    const { connections, updates } = hostHarness(action)
    for (let i = 0; i < 3; i += 1) connections.dumped(within, true)
    return updates.map(({ reporter, packet }) => `${reporter} ${packet.sourceIp}`)
  }
  expect(told('Drop')).toEqual(['src 10.0.0.1'])
  expect(told('Return')).toEqual(['src 10.0.0.1', 'dst 10.0.0.1'])
})

test('connections that a new host endpoint finds are followed from then on', () => {
  const { connections, updates, setExtent } = hostHarness('Drop')
  setExtent('10.0.0.254 hep:host')
  const old = tuple({ source: '192.0.2.9', destination: '10.0.0.254', destinationPort: 22 })
  connections.dumped([entry(3, {}, old)], true)
  expect(updates).toEqual([])
  connections.dumped([entry(5, {}, old)], true)
  expect(updates.map(short)).toEqual(['dst allow out 4/2000 in 2/200 started 0 completed 0'])
})

test('a connection keeps the names by which its destination was learned, and is named by the set of one of them', () => {
  const partner = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partner, labels: {type: partner}}
spec: {allowedEgressDomains: ['*.partner.example']}
---
`
  const own = clusterOf(namespace('shop'), partner, pod({ name: 'client', ips: ['10.0.0.1'] }))
  const names = createDestinationNames({ now: () => 0 })
  const answer = { question: { name: 'api.partner.example', type: 'A', class: 'IN' }, rcode: 'NoError', rrsets: [] }
  names.answered({
    client: '10.0.0.1',
    server: '10.0.0.53',
    latency: null,
    message: { ...answer, addresses: [{ ip: '192.0.2.7', ttl: 0 }] },
  })
  const pairs = [
    ['api.partner.example', '192.0.2.7'],
    ['aaa.other.example', '192.0.2.7'],
  ] as const
  names.change(pairs, [])
  const updates: FlowUpdate[] = []
  const connections = createConnections({
    names,
    model: own,
    hit: () => null,
    local: own.endpointByIp,
    isHost: () => false,
    extent: () => '',
    emit: (update) => void updates.push(update),
  })
  connections.dumped([], true)
  const outside = tuple({ destination: '192.0.2.7' })
  connections.dumped([entry(1, {}, outside)], true)
  names.change([], pairs)
  connections.dumped([entry(5, {}, outside)], true)
  connections.dumped([entry(9, {}, outside)], true)
  expect(updates.length).toBeGreaterThan(1)
  for (const update of updates) {
    expect(update.domains).toEqual(['api.partner.example', 'aaa.other.example'])
    expect(update.packet.domains).toEqual(['aaa.other.example', 'api.partner.example'])
    expect(update.destination).toMatchObject({ type: 'ns', nameAggr: 'partner' })
  }
})
