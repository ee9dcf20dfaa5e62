import { describe, expect, test } from 'vitest'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Judgement, Packet } from '../../src/policy/model.ts'
import type { Resource } from '../../src/resources/resource.ts'
import { aHost, aNode, anObject, aPod, clusterOf, gnp, tcp } from './make.ts'

const [nodeIp, otherNodeIp, podIp, neighbourIp, farPodIp, outside] = [
  '172.20.0.1',
  '172.20.0.2',
  '10.0.0.1',
  '10.0.0.2',
  '10.0.1.1',
  '198.51.100.7',
]
const world = [
  aNode('node1', nodeIp),
  aNode('node2', otherNodeIp),
  aPod('shop/web', podIp, { app: 'web' }),
  aPod('shop/api', neighbourIp, { app: 'api' }),
  aPod('shop/far', farPodIp, { app: 'far' }, { node: 'node2' }),
]
const eth0 = aHost('eth0', nodeIp, { node: 'node1', interfaceName: 'eth0' }, { host: 'yes' })
const eth1 = aHost('eth1', '192.0.2.1', { node: 'node1', interfaceName: 'eth1' }, { host: 'second' })
const all = aHost('all', nodeIp, { node: 'node1', interfaceName: '*' }, { host: 'yes' })

type Kind = 'untracked' | 'pre-dnat' | 'normal' | 'forward'
const flags: Record<Kind, Record<string, boolean>> = {
  untracked: { doNotTrack: true, applyOnForward: true },
  'pre-dnat': { preDNAT: true, applyOnForward: true },
  normal: {},
  forward: { applyOnForward: true },
}
const deny = [{ action: 'Deny' }]
const allow = [{ action: 'Allow' }]
/** A policy of one kind that drops everything in one direction at the hosts with a label. */
const drops = (kind: Kind, direction: 'ingress' | 'egress', host = 'yes') =>
  gnp(`${kind}-${direction}`, { selector: `host == '${host}'`, ...flags[kind], [direction]: deny })
const judge = (resources: readonly Resource[], packet: Packet) => evaluate(clusterOf(...world, ...resources), packet)

/** Whose Deny meets a packet at a host endpoint: the part of the answer that has it, or nothing. */
function whereDenied(host: readonly Resource[], policy: Resource, packet: Packet): string | null {
  const { verdict, egress, ingress, transit } = judge([...host, policy], packet)
  const parts: [string, Judgement | null][] = [
    ['egress', egress],
    ['ingress', ingress],
    ['transit egress', transit.egress],
    ['transit ingress', transit.ingress],
  ]
  const denied = parts.filter(([, judgement]) => judgement?.verdict === 'deny' && judgement.trace.length > 0)
  expect(verdict).toBe(denied.length > 0 ? 'deny' : 'allow')
  expect(denied.every(([, judgement]) => judgement?.trace[0]?.ref.name === policy.metadata.name)).toBe(true)
  return denied.map(([part]) => part).join(', ') || null
}

describe('which policy of a host endpoint meets which flow', () => {
  const toPod = tcp(outside, podIp, 8080)
  const toHost = tcp(outside, nodeIp, 8080)
  const fromHost = tcp(nodeIp, outside, 443)
  const fromPod = tcp(podIp, outside, 443)
  /** A node port whose backend is on another node: in by eth0, out by eth1. */
  const through = tcp(outside, '203.0.113.5', 80, {
    addressed: { ip: nodeIp, port: 30080 },
    interfaces: { in: 'eth0', out: 'eth1' },
  })
  const named = [eth0, eth1]

  test.each<[string, Packet, Record<Kind, Record<'ingress' | 'egress', string | null>>, readonly Resource[]]>([
    [
      'wire -> local pod',
      toPod,
      {
        untracked: { ingress: 'transit ingress', egress: null },
        'pre-dnat': { ingress: 'transit ingress', egress: null },
        normal: { ingress: null, egress: null },
        forward: { ingress: 'transit ingress', egress: null },
      },
      [eth0],
    ],
    [
      'wire -> host process',
      toHost,
      {
        untracked: { ingress: 'ingress', egress: null },
        'pre-dnat': { ingress: 'ingress', egress: null },
        normal: { ingress: 'ingress', egress: null },
        // A policy for forwarded traffic is a normal one too.
        forward: { ingress: 'ingress', egress: null },
      },
      [eth0],
    ],
    [
      'wire A -> wire B, at A',
      through,
      {
        untracked: { ingress: 'transit egress', egress: null },
        'pre-dnat': { ingress: 'transit egress', egress: null },
        normal: { ingress: null, egress: null },
        forward: { ingress: 'transit egress', egress: null },
      },
      named,
    ],
    [
      'host process -> wire',
      fromHost,
      {
        untracked: { ingress: null, egress: 'egress' },
        'pre-dnat': { ingress: null, egress: null },
        normal: { ingress: null, egress: 'egress' },
        forward: { ingress: null, egress: 'egress' },
      },
      [eth0],
    ],
    [
      'pod -> wire',
      fromPod,
      {
        untracked: { ingress: null, egress: null },
        'pre-dnat': { ingress: null, egress: null },
        normal: { ingress: null, egress: null },
        forward: { ingress: null, egress: 'transit egress' },
      },
      [eth0],
    ],
  ])('%s', (_, packet, met, hosts) => {
    // A profile that allows shows policy alone.
    const open = hosts.map((host) => ({
      ...host,
      spec: { ...(host.spec as object), profiles: ['projectcalico-default-allow'] },
    }))
    for (const kind of ['untracked', 'pre-dnat', 'normal', 'forward'] as const) {
      for (const direction of ['ingress', 'egress'] as const) {
        if (kind === 'pre-dnat' && direction === 'egress') continue
        const where = whereDenied(open, drops(kind, direction), packet)
        expect(`${kind} ${direction}: ${where}`).toBe(`${kind} ${direction}: ${met[kind][direction]}`)
      }
    }
  })

  test('wire A -> wire B, at B: egress of the outgoing interface, for forwarded traffic only', () => {
    const at = (kind: Kind) => whereDenied(named, drops(kind, 'egress', 'second'), through)
    expect([at('forward'), at('normal'), at('untracked')]).toEqual(['transit egress', null, null])
    expect(whereDenied(named, drops('forward', 'ingress', 'second'), through)).toBeNull()
  })
})

describe('forwarded traffic', () => {
  const fromPod = tcp(podIp, outside, 443)

  test('is let through where no policy for it selects the host endpoint in the direction', () => {
    expect(judge([eth0], fromPod)).toMatchObject({ verdict: 'allow', transit: { egress: null, ingress: null } })
    expect(judge([eth0, drops('forward', 'ingress')], fromPod)).toMatchObject({
      verdict: 'allow',
      transit: { egress: null },
    })
  })

  test('needs an Allow once one does; profiles are not asked', () => {
    const open = aHost('eth0', nodeIp, { node: 'node1', profiles: ['projectcalico-default-allow'] }, { host: 'yes' })
    const silent = gnp('silent', { selector: "host == 'yes'", applyOnForward: true, types: ['Egress'] })
    expect(judge([open, silent], fromPod).transit.egress?.trace).toMatchObject([
      { ref: { name: 'silent' }, action: 'deny', ruleIndex: -1 },
    ])
    const passing = gnp('passing', {
      selector: "host == 'yes'",
      applyOnForward: true,
      egress: [{ action: 'Pass' }],
    })
    expect(judge([open, passing], fromPod).transit.egress?.trace).toMatchObject([
      { action: 'pass' },
      { ref: { name: '__NO_MATCH__' }, action: 'deny' },
    ])
  })

  test('knows no failsafe ports', () => {
    const packet = tcp(podIp, outside, 6443)
    expect(judge([eth0, drops('forward', 'egress')], packet).verdict).toBe('deny')
    expect(judge([eth0, drops('normal', 'egress')], tcp(nodeIp, outside, 6443)).verdict).toBe('allow')
  })

  test('is not policy of the nodes of both ends when these are one', () => {
    for (const direction of ['ingress', 'egress'] as const)
      expect(judge([eth0, drops('forward', direction)], tcp(podIp, neighbourIp, 80)).verdict).toBe('allow')
  })

  test('is asked at both nodes between them', () => {
    const far = aHost('far', otherNodeIp, { node: 'node2', interfaceName: 'eth0' }, { host: 'far' })
    const packet = tcp(podIp, farPodIp, 80)
    expect(whereDenied([eth0, far], drops('forward', 'egress'), packet)).toBe('transit egress')
    expect(whereDenied([eth0, far], drops('forward', 'ingress', 'far'), packet)).toBe('transit ingress')
    expect(whereDenied([eth0, far], drops('forward', 'ingress'), packet)).toBeNull()
    expect(whereDenied([eth0, far], drops('forward', 'egress', 'far'), packet)).toBeNull()
  })

  test('a staged policy for it is told, not obeyed', () => {
    const staged = gnp(
      'p',
      { selector: "host == 'yes'", applyOnForward: true, egress: deny },
      'StagedGlobalNetworkPolicy',
    )
    const { verdict, transit, pending } = judge([eth0, staged], fromPod)
    expect(verdict).toBe('allow')
    expect(transit.egress).toBeNull()
    expect(pending.transit.egress).toMatchObject({ verdict: 'deny', trace: [{ staged: true, ruleIndex: 0 }] })
  })
})

describe('an Allow is final for its host endpoint', () => {
  const early = (kind: Kind) =>
    gnp(`early-${kind}`, { order: 1, selector: "host == 'yes'", ...flags[kind], ingress: allow })

  test.each<[Kind, Kind, boolean]>([
    ['untracked', 'pre-dnat', true],
    ['untracked', 'normal', true],
    ['untracked', 'forward', true],
    ['pre-dnat', 'normal', true],
    ['pre-dnat', 'forward', true],
    ['pre-dnat', 'untracked', false],
  ])('%s over a later Deny of %s: %s', (first, second, isAllowed) => {
    const packet = second === 'forward' ? tcp(outside, podIp, 8080) : tcp(outside, nodeIp, 8080)
    const { verdict } = judge([eth0, early(first), drops(second, 'ingress')], packet)
    expect(verdict).toBe(isAllowed ? 'allow' : 'deny')
  })

  test('but not for the one that the packet goes out by', () => {
    const packet = tcp(outside, podIp, 8080)
    expect(judge([all, early('pre-dnat'), drops('forward', 'egress')], packet).verdict).toBe('deny')
  })
})

describe('before DNAT', () => {
  const addressed = { ip: nodeIp, port: 30080 }
  const nodePort = tcp(outside, podIp, 8080, { addressed })
  const guard = (kind: Kind, port: number) =>
    gnp('guard', {
      selector: "host == 'yes'",
      ...flags[kind],
      ingress: [{ action: 'Deny', protocol: 'TCP', destination: { ports: [port] } }],
    })

  test.each<[Kind, number, 'allow' | 'deny']>([
    ['pre-dnat', 30080, 'deny'],
    ['pre-dnat', 8080, 'allow'],
    ['untracked', 30080, 'deny'],
    ['untracked', 8080, 'allow'],
    ['forward', 8080, 'deny'],
  ])('%s policy with port %d: %s', (kind, port, verdict) => {
    expect(judge([eth0, guard(kind, port)], nodePort).verdict).toBe(verdict)
  })

  test('a node port of another node is judged there by it, and here as it is', () => {
    const viaOther = tcp(outside, podIp, 8080, { addressed: { ip: otherNodeIp, port: 30080 } })
    const far = aHost('far', otherNodeIp, { node: 'node2', interfaceName: 'eth0' }, { host: 'yes' })
    expect(judge([far, guard('pre-dnat', 30080)], viaOther).transit.egress?.verdict).toBe('deny')
    expect(judge([eth0, guard('pre-dnat', 30080)], viaOther).verdict).toBe('allow')
    expect(judge([eth0, guard('pre-dnat', 8080)], viaOther).transit.ingress?.verdict).toBe('deny')
  })

  test('a pod that uses the node port of another node is judged by what it addressed', () => {
    const only = gnp('only', {
      selector: "app == 'web'",
      egress: [{ action: 'Allow', protocol: 'TCP', destination: { nets: [`${otherNodeIp}/32`], ports: [30080] } }],
    })
    const packet = tcp(podIp, farPodIp, 8080, { addressed: { ip: otherNodeIp, port: 30080 } })
    expect(judge([only], packet).egress?.verdict).toBe('allow')
    expect(judge([only], { ...packet, addressed: { ip: '10.96.0.1', port: 80 } }).egress?.verdict).toBe('deny')
  })

  test('failsafe ports are those addressed', () => {
    const ssh = tcp(outside, podIp, 2222, { addressed: { ip: nodeIp, port: 22 } })
    expect(judge([eth0, drops('pre-dnat', 'ingress')], ssh).verdict).toBe('allow')
    expect(judge([eth0, drops('pre-dnat', 'ingress')], nodePort).verdict).toBe('deny')
  })

  test('answers of failsafe connections are not untracked', () => {
    const answer = tcp(outside, nodeIp, 40001, { sourcePort: 6443 })
    const open = aHost('eth0', nodeIp, { node: 'node1', profiles: ['projectcalico-default-allow'] }, { host: 'yes' })
    expect(judge([open, drops('untracked', 'ingress')], answer).verdict).toBe('allow')
    expect(judge([open, drops('untracked', 'ingress')], { ...answer, sourcePort: 444 }).verdict).toBe('deny')
  })
})

describe('the host endpoint of every other interface', () => {
  test('polices forwarding from and to workloads, before and after their own policy', () => {
    const toNeighbour = tcp(podIp, neighbourIp, 80)
    expect(whereDenied([all], drops('forward', 'ingress'), toNeighbour)).toBe('transit egress')
    expect(whereDenied([all], drops('forward', 'egress'), toNeighbour)).toBe('transit ingress')
    expect(whereDenied([all], drops('pre-dnat', 'ingress'), toNeighbour)).toBe('transit egress')
    expect(whereDenied([all], drops('untracked', 'ingress'), toNeighbour)).toBeNull()
    expect(whereDenied([all], drops('normal', 'ingress'), toNeighbour)).toBeNull()
  })

  test('polices before DNAT what workloads send to their own node', () => {
    const accept = anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', {
      spec: { defaultEndpointToHostAction: 'Accept' },
    })
    expect(judge([all, accept, drops('pre-dnat', 'ingress')], tcp(podIp, nodeIp, 80)).transit.egress?.verdict).toBe(
      'deny',
    )
    expect(judge([all, accept, drops('forward', 'ingress')], tcp(podIp, nodeIp, 80)).verdict).toBe('allow')
  })

  test('yields to one of the interface by name', () => {
    const hosts = [all, eth1]
    const by = (name: string) => tcp(outside, podIp, 80, { interfaces: { in: name } })
    expect(whereDenied(hosts, drops('forward', 'ingress'), by('eth0'))).toBe('transit ingress')
    expect(whereDenied(hosts, drops('forward', 'ingress'), by('eth1'))).toBeNull()
    expect(whereDenied(hosts, drops('forward', 'ingress', 'second'), by('eth1'))).toBe('transit ingress')
  })

  test('needs no addresses of its own: the node has them', () => {
    const bare = aHost('bare', nodeIp, { node: 'node1', expectedIPs: [] }, { host: 'yes' })
    expect(whereDenied([bare], drops('normal', 'ingress'), tcp(outside, nodeIp, 80))).toBe('ingress')
  })
})

describe('what is not asked', () => {
  test('a node to itself and to its own workloads, and why', () => {
    const closed = [all, drops('normal', 'egress'), gnp('closed', { types: ['Ingress', 'Egress'] })]
    expect(judge(closed, tcp(nodeIp, nodeIp, 80))).toMatchObject({
      verdict: 'allow',
      egress: { exempt: 'self' },
      ingress: { exempt: 'self' },
    })
    expect(judge(closed, tcp(nodeIp, podIp, 80))).toMatchObject({
      verdict: 'allow',
      egress: { exempt: 'own-host' },
      ingress: { exempt: 'own-host' },
    })
  })

  test('a pod that reaches itself by a service is judged, by its address it is not', () => {
    const closed = gnp('closed', { selector: "app == 'web'", types: ['Ingress', 'Egress'] })
    expect(judge([closed], tcp(podIp, podIp, 80))).toMatchObject({ verdict: 'allow', egress: { exempt: 'self' } })
    const hairpin = tcp(podIp, podIp, 8080, { addressed: { ip: '10.96.0.1', port: 80 } })
    expect(judge([closed], hairpin)).toMatchObject({
      verdict: 'deny',
      egress: { verdict: 'deny', trace: [{ ref: { name: 'closed' } }] },
      ingress: { verdict: 'deny', trace: [{ ref: { name: 'closed' } }] },
    })
  })

  test('a pod to its own node is dropped by default, with and without a host endpoint', () => {
    for (const hosts of [[], [all]])
      expect(judge(hosts, tcp(podIp, nodeIp, 80))).toMatchObject({
        verdict: 'deny',
        ingress: { verdict: 'deny', exempt: 'endpoint-to-host', trace: [] },
      })
    expect(judge([], tcp(podIp, otherNodeIp, 80))).toMatchObject({ verdict: 'allow', ingress: null })
  })

  test('where the node asks its host endpoint, an Allow before DNAT settles it', () => {
    const asks = anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', {
      spec: { defaultEndpointToHostAction: 'Return' },
    })
    const packet = tcp(podIp, nodeIp, 80)
    const closed = [all, asks, drops('normal', 'ingress')]
    expect(judge(closed, packet).ingress).toMatchObject({
      verdict: 'deny',
      trace: [{ ref: { name: 'normal-ingress' } }],
    })
    const early = gnp('early', { selector: "host == 'yes'", ...flags['pre-dnat'], ingress: allow })
    expect(judge([...closed, early], packet)).toMatchObject({ verdict: 'allow', ingress: null })
  })

  test.each<[string, number, number, Record<string, unknown>, boolean]>([
    ['VXLAN', 17, 4789, {}, false],
    ['VXLAN where it may', 17, 4789, { allowVXLANPacketsFromWorkloads: true }, true],
    ['VXLAN on another port', 17, 4790, { vxlanPort: 4790 }, false],
    ['UDP on the usual port when it is not VXLAN’s', 17, 4789, { vxlanPort: 4790 }, true],
    ['IP in IP', 4, 0, {}, false],
    ['IP in IP where it may', 4, 0, { allowIPIPPacketsFromWorkloads: true }, true],
    ['TCP on the port of VXLAN', 6, 4789, {}, true],
  ])('%s from a pod, by the settings of its node', (_, protocol, port, spec, isAllowed) => {
    const felix = anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', { spec })
    const { verdict, egress } = judge([felix], tcp(podIp, outside, port, { protocol }))
    expect(verdict).toBe(isAllowed ? 'allow' : 'deny')
    if (!isAllowed) expect(egress).toEqual({ verdict: 'deny', trace: [], exempt: 'tunnel' })
    // What comes from elsewhere is for policy to judge.
    expect(judge([felix], tcp(outside, podIp, port, { protocol })).verdict).toBe('allow')
  })

  test('settings of the node go before those of all', () => {
    const felix = (name: string, defaultEndpointToHostAction: string) =>
      anObject('projectcalico.org/v3', 'FelixConfiguration', name, { spec: { defaultEndpointToHostAction } })
    const packet = tcp(podIp, nodeIp, 80)
    expect(judge([felix('default', 'Drop'), felix('node.node1', 'Accept')], packet).verdict).toBe('allow')
    expect(judge([felix('default', 'Drop'), felix('node.node2', 'Accept')], packet).verdict).toBe('deny')
  })

  test('neighbour discovery of IPv6', () => {
    const pod = aPod('shop/six', 'fd00::1', { app: 'six' })
    const closed = gnp('closed', { selector: "app == 'six'", types: ['Ingress', 'Egress'] })
    const icmp = (type: number): Packet => ({
      sourceIp: 'fd00::1',
      destinationIp: 'fd00::2',
      protocol: 58,
      sourcePort: null,
      destinationPort: null,
      icmp: { type, code: 0 },
    })
    expect(judge([pod, closed], icmp(135))).toMatchObject({
      verdict: 'allow',
      egress: { exempt: 'neighbour-discovery' },
    })
    expect(judge([pod, closed], icmp(128)).verdict).toBe('deny')
  })
})
