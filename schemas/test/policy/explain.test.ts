import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { failedCriteria } from '../../src/policy/criteria.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { explain } from '../../src/policy/explain.ts'
import { formatExplanation } from '../../src/policy/explanation-text.ts'
import type { Packet } from '../../src/policy/model.ts'
import { readPacket } from '../../src/policy/read-packet.ts'
import { matchRule } from '../../src/policy/rule-match.ts'
import type { Resource } from '../../src/resources/resource.ts'
import {
  aHost,
  aNamespace,
  aNetworkSet,
  aNode,
  anObject,
  aPod,
  aService,
  aTier,
  clusterOf,
  gnp,
  knp,
  np,
  tcp,
} from './make.ts'

const world = [
  aNamespace('shop'),
  aNamespace('dev'),
  aPod('shop/web', '10.0.0.1', { app: 'web' }, { ports: [{ name: 'http', containerPort: 8080 }] }),
  aPod('shop/api', '10.0.0.2', { app: 'api' }),
  aPod('dev/tool', '10.0.0.3', { app: 'tool' }),
]
const isNightly = process.env.MARGAY_NIGHTLY === '1'
const [web, api, tool, outside] = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '198.51.100.7']
const allow = { action: 'Allow' }
const why = (packet: Packet, ...resources: readonly Resource[]) => explain(clusterOf(...world, ...resources), packet)
const ingressOf = (packet: Packet, ...resources: readonly Resource[]) =>
  why(packet, ...resources).stations.find(({ part }) => part === 'ingress')

describe('why a rule does not match', () => {
  const reason = (packet: Packet, rule: Record<string, unknown>, ...more: readonly Resource[]) =>
    ingressOf(
      packet,
      ...more,
      np('shop/web', { selector: "app == 'web'", ingress: [{ ...allow, ...rule }] }),
    )?.rules[0]?.failed.map(({ text }) => text)

  test.each<[string, Packet, Record<string, unknown>, string[]]>([
    [
      'the port',
      tcp(api, web, 443),
      { protocol: 'TCP', destination: { ports: [80, '8000:8080', 'http'] } },
      ['destination port 443 is not in 80, 8000-8080, http'],
    ],
    [
      'an excluded port',
      tcp(api, web, 443),
      { protocol: 'TCP', destination: { notPorts: [443] } },
      ['destination port 443 is excluded by 443'],
    ],
    ['the protocol', tcp(api, web, 443), { protocol: 'UDP' }, ['protocol tcp is not udp']],
    ['an excluded protocol', tcp(api, web, 443), { notProtocol: 'TCP' }, ['protocol tcp is excluded']],
    ['the IP version', tcp(api, web, 443), { ipVersion: 6 }, ['10.0.0.2 is not IPv6']],
    [
      'a block',
      tcp(outside, web, 443),
      { source: { nets: ['192.0.2.0/24'] } },
      ['source 198.51.100.7 is not in 192.0.2.0/24'],
    ],
    [
      'an excluded block',
      tcp(outside, web, 443),
      { source: { notNets: ['198.51.100.0/24'] } },
      ['source 198.51.100.7 is excluded by 198.51.100.0/24'],
    ],
    [
      'a label that is missing',
      tcp(api, web, 443),
      { source: { selector: "role == 'client'" } },
      ['source shop/api: role is missing (wanted: role == "client")'],
    ],
    [
      'the namespace',
      tcp(tool, web, 443),
      { source: { selector: "app == 'tool'" } },
      ['source dev/tool: projectcalico.org/namespace is "dev" (wanted: projectcalico.org/namespace == "shop")'],
    ],
    [
      'an address that is nobody',
      tcp(outside, web, 443),
      { source: { selector: 'has(app)' } },
      [
        'source 198.51.100.7 is no endpoint and in no network set (wanted: (projectcalico.org/namespace == "shop" && has(app)))',
      ],
    ],
    [
      'an excluded selector',
      tcp(api, web, 443),
      { source: { notSelector: "app == 'api'" } },
      ['source 10.0.0.2 is excluded by app == "api"'],
    ],
    [
      'a service',
      tcp(api, web, 443),
      { source: { services: { name: 'db' } } },
      ['source 10.0.0.2 is not behind service shop/db'],
    ],
    [
      'ICMP',
      tcp(api, web, 0, { protocol: 1, sourcePort: null, destinationPort: null, icmp: { type: 13, code: 0 } }),
      { protocol: 'ICMP', icmp: { type: 8 } },
      ['ICMP type 13 code 0 is not type 8'],
    ],
    [
      'a request',
      tcp(api, web, 80, { http: { method: 'PUT', path: '/a' } }),
      { http: { methods: ['GET'] } },
      ['method PUT is not in GET'],
    ],
    [
      'two things',
      tcp(outside, web, 443),
      { protocol: 'UDP', source: { nets: ['192.0.2.0/24'] } },
      ['protocol tcp is not udp', 'source 198.51.100.7 is not in 192.0.2.0/24'],
    ],
  ])('%s', (_, packet, rule, expected) => {
    expect(reason(packet, rule)).toEqual(expected)
  })

  test('a network set is known by its labels', () => {
    const set = aNetworkSet('partners', { nets: ['198.51.100.0/24'] }, { zone: 'partner' })
    expect(
      reason(tcp(outside, web, 443), { source: { namespaceSelector: 'global()', selector: "zone == 'own'" } }, set),
    ).toEqual(['source network set partners: zone is "partner" (wanted: zone == "own")'])
  })

  test('names', () => {
    const rule = { ...allow, destination: { domains: ['*.pay.example'] } }
    const policy = np('shop/web', { selector: "app == 'web'", egress: [rule] })
    const failed = (packet: Packet) => why(packet, policy).stations[0]?.rules[0]?.failed.map(({ text }) => text)
    expect(failed(tcp(web, outside, 443))).toEqual([
      'destination 198.51.100.7, which no name led to, is not one of *.pay.example',
    ])
    expect(failed(tcp(web, outside, 443, { domains: ['a.example'] }))).toEqual([
      'destination a.example is not one of *.pay.example',
    ])
  })
})

describe('an explanation', () => {
  test('tells of the rules before and after what decided, and which were close', () => {
    const station = ingressOf(
      tcp(api, web, 443),
      np('shop/web', {
        selector: "app == 'web'",
        ingress: [
          { ...allow, protocol: 'TCP', destination: { ports: [80] } },
          { ...allow, protocol: 'UDP', destination: { ports: [80] } },
          { action: 'Deny' },
          allow,
        ],
      }),
    )
    expect(station?.rules.map(({ ruleIndex, position, isClose }) => [ruleIndex, position, isClose])).toEqual([
      [0, 'before', true],
      [1, 'before', false],
      [2, 'decided', false],
      [3, 'after', false],
    ])
  })

  test('a rule that stands for several is told by the nearest', () => {
    const from = [{ podSelector: { matchLabels: { app: 'x' } } }, { ipBlock: { cidr: '10.0.0.2/32' } }]
    const station = ingressOf(
      tcp(api, web, 443),
      knp('shop/p', { podSelector: {}, ingress: [{ from, ports: [{ port: 80 }] }] }),
    )
    expect(station?.rules).toMatchObject([{ ruleIndex: 0, failed: [{ kind: 'ports' }], isClose: true }])
  })

  test('tells what became of it in each tier', () => {
    const station = ingressOf(
      tcp(api, web, 443),
      aTier('a', 1, 'Pass'),
      aTier('b', 2),
      gnp('a', { tier: 'a', types: ['Ingress'] }),
      gnp('b', { tier: 'b', ingress: [allow] }),
      gnp('c', { ingress: [allow] }),
    )
    expect(station?.tiers.map(({ tier, outcome, hit }) => [tier, outcome, hit?.ruleIndex])).toEqual([
      ['a', 'pass', -1],
      ['b', 'allow', 0],
      ['default', 'not-reached', undefined],
    ])
  })

  test('names policies that nearly select the endpoint', () => {
    const station = ingressOf(
      tcp(api, web, 443),
      np('shop/typo', { selector: "app == 'wev'", ingress: [allow] }),
      np('shop/other', { selector: "app == 'database'", ingress: [allow] }),
      np('shop/out', { selector: "app == 'wev'", egress: [allow] }),
    )
    expect(station?.nearly.map(({ ref }) => ref.name)).toEqual(['typo'])
  })

  test('is compact as text', () => {
    const explanation = why(
      tcp(api, web, 443),
      aTier('platform', 1),
      gnp('platform.pass', { tier: 'platform', ingress: [{ action: 'Pass' }], egress: [{ action: 'Pass' }] }),
      np('shop/web', {
        selector: "app == 'web'",
        ingress: [
          { ...allow, protocol: 'TCP', destination: { ports: [80] } },
          { ...allow, source: { selector: "app == 'client'" } },
          { action: 'Log' },
        ],
      }),
      np('shop/wen', { selector: "app == 'wen'", ingress: [allow] }),
      gnp('open', { ingress: [allow] }, 'StagedGlobalNetworkPolicy'),
    )
    expect(formatExplanation(explanation)).toBe(`DENY tcp 10.0.0.2 -> 10.0.0.1:443
egress of shop/api: ALLOW
  tier platform: pass by platform.pass rule 0
  allow by profile kns.shop
ingress of shop/web: DENY
  tier platform: pass by platform.pass rule 0
  tier default: deny at its end, no rule matches (shop/default.web is the last policy)
  came close:
    shop/default.web rule 0 (allow): destination port 443 is not in 80
    shop/default.web rule 1 (allow): source shop/api: app is "api" (wanted: app == "client")
  nearly selected it:
    shop/default.wen: app is "web", nearly "wen" (wanted: app == "wen")
  with staged policies: ALLOW
    pass by platform.pass rule 0
    allow by staged:default.open rule 0`)
  })

  test('shows of what comes after the decision what would have turned it', () => {
    const policy = np('shop/web', {
      selector: "app == 'web'",
      ingress: [
        { action: 'Deny' },
        allow,
        { ...allow, protocol: 'UDP' },
        { action: 'Pass' },
        { action: 'Deny', protocol: 'UDP' },
      ],
    })
    expect(
      formatExplanation(why(tcp(api, web, 443), policy))
        .split('\n')
        .slice(-3),
    ).toEqual([
      '  came close:',
      '    shop/default.web rule 1 (allow, after the decision): it matches, but was not asked',
      '    shop/default.web rule 2 (allow, after the decision): protocol tcp is not udp',
    ])
  })

  test('says when policy is not asked, and by whom it is on the way', () => {
    const hosts = [
      aNode('node1', '172.20.0.1'),
      aHost('node1', '172.20.0.1', {}, { role: 'node' }),
      gnp('transit', { selector: "role == 'node'", applyOnForward: true, egress: [{ action: 'Deny' }] }),
    ]
    expect(formatExplanation(why(tcp('172.20.0.1', web, 80), ...hosts))).toContain(
      'ingress of shop/web: ALLOW, policy is not asked: a node may always talk to its own workloads',
    )
    expect(
      formatExplanation(why(tcp(web, outside, 80), ...hosts))
        .split('\n')
        .slice(-2),
    ).toEqual([
      'on the way, by host endpoint node1 (egress): DENY',
      '  tier default (forward): deny by default.transit rule 0',
    ])
    expect(formatExplanation(why(tcp(outside, '192.0.2.1', 80)))).toBe(
      'ALLOW tcp 198.51.100.7 -> 192.0.2.1:80\n  neither end is subject to policy',
    )
  })
})

describe('whatever the rule and the packet', () => {
  const address = fc.constantFrom(web, api, tool, outside, 'fd00::1')
  const port = fc.constantFrom(53, 80, 443, 8080)
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
  const entity = fc.record(
    {
      selector: fc.constantFrom("app == 'web'", "app != 'api'", '!has(app)'),
      notSelector: fc.constantFrom("app == 'tool'", 'all()'),
      nets: fc.constantFrom(['10.0.0.0/30'], ['198.51.100.0/24', '10.0.0.3/32']),
      notNets: fc.constantFrom(['10.0.0.2/32']),
      ports: fc.constantFrom([80], ['http'], ['50:90', 443]),
      notPorts: fc.constantFrom([443], ['http']),
    },
    { requiredKeys: [] },
  )
  const rule = fc.record(
    {
      action: fc.constantFrom('Allow', 'Deny', 'Pass', 'Log'),
      protocol: fc.constantFrom('TCP', 'UDP', 'ICMP'),
      notProtocol: fc.constantFrom('TCP', 'UDP'),
      ipVersion: fc.constantFrom(4, 6),
      source: entity,
      destination: entity,
    },
    { requiredKeys: ['action'] },
  )
  const packet: fc.Arbitrary<Packet> = fc
    .tuple(address, address, fc.constantFrom(1, 6, 17), port, port, maybe(fc.constantFrom(0, 8)))
    .map(([sourceIp, destinationIp, protocol, sourcePort, destinationPort, type]) => ({
      sourceIp,
      destinationIp,
      protocol,
      sourcePort: protocol === 1 ? null : sourcePort,
      destinationPort: protocol === 1 ? null : destinationPort,
      ...(protocol === 1 && type !== undefined && { icmp: { type, code: 0 } }),
    }))

  test('a rule matches exactly when no criterion fails, and the explanation comes to the evaluator’s verdict', () => {
    const service = aService('shop/web', { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ port: 80 }] })
    const six = anObject(
      'projectcalico.org/v3',
      'WorkloadEndpoint',
      'six',
      { spec: { node: 'node1', ipNetworks: ['fd00::1/128'], profiles: ['kns.shop'] } },
      { namespace: 'shop' },
    )
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), fc.boolean(), packet, (rules, isGlobal, given) => {
        const spec = { ingress: rules, egress: rules, types: ['Ingress', 'Egress'] }
        const cluster = clusterOf(...world, service, six, isGlobal ? gnp('p', spec) : np('shop/p', spec))
        const read = readPacket(given)
        for (const compiled of cluster.tiers().flatMap(({ policies }) => policies.flatMap((policy) => policy.ingress)))
          expect(failedCriteria(cluster, compiled, read).length === 0).toBe(matchRule(cluster, compiled, read))
        const { verdict, egress, ingress } = evaluate(cluster, given)
        const explanation = explain(cluster, given)
        expect(explanation.verdict).toBe(verdict)
        for (const { part, judgement, rules: told } of explanation.stations) {
          expect(judgement).toEqual(part === 'egress' ? egress : ingress)
          const hit = judgement?.trace.find(({ ref }) => ref.name === 'p')
          const decided = told.filter(({ position }) => position === 'decided')
          expect(decided.map(({ ruleIndex }) => ruleIndex)).toEqual(
            hit === undefined || hit.ruleIndex < 0 ? [] : [hit.ruleIndex],
          )
          expect(decided.every(({ failed }) => failed.length === 0)).toBe(true)
          const before = told.filter(({ position, action }) => position === 'before' && action !== 'log')
          expect(before.every(({ failed }) => failed.length > 0)).toBe(true)
        }
      }),
      { numRuns: isNightly ? 10_000 : 60 },
    )
  }, 120_000)
})
