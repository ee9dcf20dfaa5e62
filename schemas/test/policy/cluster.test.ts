import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../../src/policy/cluster.ts'
import { selectorId } from '../../src/policy/selector/selector.ts'
import { keyOf } from '../../src/resources/kinds.ts'
import type { Resource } from '../../src/resources/resource.ts'
import { anyChange } from './changes.ts'
import {
  aHost,
  aNamespace,
  aNetworkSet,
  aNode,
  anObject,
  aPod,
  aService,
  aServiceAccount,
  aTier,
  clusterOf,
  gnp,
  judged,
  np,
  tcp,
} from './make.ts'

const isNightly = process.env.MARGAY_NIGHTLY === '1'

describe('endpoints', () => {
  test('a pod is one once it has a node and an address, and none when it has finished', () => {
    const cluster = clusterOf(aPod('a/p', '10.0.0.1', { app: 'x' }, { account: 'robot' }))
    expect(cluster.endpoint('wep:a/p')).toMatchObject({
      kind: 'wep',
      namespace: 'a',
      name: 'p',
      nameAggr: 'p',
      node: 'node1',
      interfaceName: null,
      ips: ['10.0.0.1'],
      ownLabels: { app: 'x' },
      profiles: ['kns.a', 'ksa.a.robot'],
    })
    cluster.apply({ ...aPod('a/p', '10.0.0.1'), status: { phase: 'Succeeded', podIP: '10.0.0.1' } })
    expect(cluster.endpoint('wep:a/p')).toBeNull()
    expect(cluster.endpointByIp('10.0.0.1')).toBeNull()
  })

  test.each<[string, Record<string, unknown>, Record<string, unknown>, readonly string[] | null]>([
    [
      'podIPs before podIP',
      {},
      { status: { podIP: '1.1.1.1', podIPs: [{ ip: '10.0.0.1' }, { ip: '2001:DB8::1' }] } },
      ['10.0.0.1', '2001:db8::1'],
    ],
    [
      'an annotation when the status is silent',
      { 'cni.projectcalico.org/podIP': '10.0.0.5/32' },
      { status: {} },
      ['10.0.0.5'],
    ],
    [
      'a released address',
      { 'cni.projectcalico.org/podIPs': '', 'cni.projectcalico.org/podIP': '10.0.0.5/32' },
      { status: {} },
      [],
    ],
    ['no address yet', {}, { status: {} }, []],
    ['the network of the host', {}, { spec: { nodeName: 'n', hostNetwork: true } }, null],
    ['no node', {}, { spec: {} }, null],
  ])('%s', (_, annotations, members, ips) => {
    const pod = aPod('a/p', '10.0.0.1')
    const given = {
      ...pod,
      ...members,
      metadata: { ...pod.metadata, annotations: annotations as Record<string, string> },
    }
    expect(clusterOf(given).endpoint('wep:a/p')?.ips ?? null).toEqual(ips)
  })

  test('labels are its own, then those of its namespace and account', () => {
    const cluster = clusterOf(
      aNamespace('a', { team: 'x' }),
      aServiceAccount('a', 'robot', { pci: 'true' }),
      aPod('a/p', '10.0.0.1', { app: 'web', 'pcns.team': 'mine' }, { account: 'robot' }),
    )
    expect(cluster.endpoint('wep:a/p')?.labels).toMatchObject({
      app: 'web',
      'pcns.team': 'mine',
      'pcns.projectcalico.org/name': 'a',
      'pcsa.pci': 'true',
      'pcsa.projectcalico.org/name': 'robot',
      'projectcalico.org/namespace': 'a',
      'projectcalico.org/serviceaccount': 'robot',
      'projectcalico.org/orchestrator': 'k8s',
    })
    cluster.apply(aNamespace('a', { stage: 'prod' }))
    expect(cluster.endpoint('wep:a/p')?.labels).toMatchObject({ 'pcns.stage': 'prod' })
  })

  test('a workload endpoint says more than its pod, and the pod is left when it goes', () => {
    const wep = anObject(
      'projectcalico.org/v3',
      'WorkloadEndpoint',
      'node1-k8s-p-eth0',
      { spec: { node: 'node1', pod: 'p', interfaceName: 'cali1', ipNetworks: ['10.0.0.2/32'], profiles: ['kns.a'] } },
      { namespace: 'a' },
    )
    const cluster = clusterOf(aPod('a/p', '10.0.0.1'), wep)
    expect(cluster.endpoint('wep:a/p')).toMatchObject({ interfaceName: 'cali1', ips: ['10.0.0.2'] })
    cluster.apply(aPod('a/p', '10.0.0.1', { late: 'label' }))
    expect(cluster.endpoint('wep:a/p')).toMatchObject({ interfaceName: 'cali1' })
    cluster.remove(keyOf(wep))
    expect(cluster.endpoint('wep:a/p')).toMatchObject({ interfaceName: null, ips: ['10.0.0.1'] })
  })

  test('an address belongs to the pod seen last, and to its old owner again when that goes', () => {
    const late = aPod('a/new', '10.0.0.1')
    const cluster = clusterOf(aHost('h', '10.0.0.1'), aPod('a/old', '10.0.0.1'), late)
    expect(cluster.endpointByIp('10.0.0.1')?.key).toBe('wep:a/new')
    cluster.remove(keyOf(late))
    expect(cluster.endpointByIp('10.0.0.1')?.key).toBe('wep:a/old')
  })
})

describe('interfaces of one pod', () => {
  const wep = (part: string, ip: string, labels = {}) =>
    anObject(
      'projectcalico.org/v3',
      'WorkloadEndpoint',
      `node1-k8s-p-${part}`,
      { spec: { node: 'node1', pod: 'p', endpoint: part, interfaceName: `cali-${part}`, ipNetworks: [ip] } },
      { namespace: 'a', labels },
    )
  const keys = (cluster: Cluster) =>
    [...cluster.endpoints()].map(({ key, interfaceName }) => [key, interfaceName]).sort()

  test('are endpoints of their own, the first by name in the place of the pod', () => {
    const cluster = clusterOf(wep('net1', '10.1.0.1'), aPod('a/p', '10.0.0.1'), wep('eth0', '10.0.0.1'))
    const both = [
      ['wep:a/p', 'cali-eth0'],
      ['wep:a/p/net1', 'cali-net1'],
    ]
    expect(keys(cluster)).toEqual(both)
    expect(cluster.endpointByIp('10.1.0.1')).toMatchObject({ key: 'wep:a/p/net1', name: 'p' })
    const made = [aPod('a/p', ''), wep('eth0', ''), wep('net1', '')].map((one) => cluster.endpointOf(keyOf(one))?.key)
    expect(made).toEqual([undefined, 'wep:a/p', 'wep:a/p/net1'])
    cluster.remove(keyOf(wep('eth0', '')))
    expect(keys(cluster)).toEqual([['wep:a/p', 'cali-net1']])
    expect(cluster.endpointByIp('10.0.0.1')).toBeNull()
    cluster.apply(wep('eth0', '10.0.0.1'))
    expect(keys(cluster)).toEqual(both)
    cluster.remove(keyOf(wep('eth0', '')))
    cluster.remove(keyOf(wep('net1', '')))
    expect(keys(cluster)).toEqual([['wep:a/p', null]])
  })

  test('are selected each by its own labels', () => {
    const cluster = clusterOf(
      wep('eth0', '10.0.0.1'),
      wep('net1', '10.1.0.1', { side: 'storage' }),
      gnp('p', { selector: "side == 'storage'" }),
    )
    expect(cluster.selected('gnp:p').map(({ key }) => key)).toEqual(['wep:a/p/net1'])
  })
})

describe('host endpoints', () => {
  test('with one address are both kept; the first by name answers for it', () => {
    const cluster = clusterOf(aHost('b', '10.0.0.1'), aHost('a', '10.0.0.1'), aHost('c', '10.0.0.2', { node: 'b' }))
    expect(cluster.endpointByIp('10.0.0.1')?.key).toBe('hep:a')
    expect(cluster.endpoint('hep:b')).not.toBeNull()
    expect(cluster.hostEndpoints('b').map(({ name }) => name)).toEqual(['b', 'c'])
    cluster.remove(keyOf(aHost('a', '')))
    expect(cluster.endpointByIp('10.0.0.1')?.key).toBe('hep:b')
    cluster.apply(aHost('c', '10.0.0.2', { node: 'elsewhere' }))
    expect(cluster.hostEndpoints('b').map(({ name }) => name)).toEqual(['b'])
    expect(cluster.hostEndpoints('nowhere')).toEqual([])
  })
})

describe('address sets', () => {
  const webs = selectorId('(projectcalico.org/namespace == "a" && app == "web")')
  const policy = np('a/p', { ingress: [{ action: 'Allow', source: { selector: "app=='web'" } }] })

  test('exist while a rule uses them', () => {
    const cluster = clusterOf(aPod('a/w', '10.0.0.1', { app: 'web' }))
    expect(cluster.addressSet(webs)).toBeNull()
    cluster.apply(policy)
    expect(cluster.tiers().flatMap((tier) => tier.policies)[0]?.ingress[0]?.source.sets).toEqual([webs])
    expect([...(cluster.addressSet(webs)?.members ?? [])]).toEqual(['10.0.0.1'])
    cluster.apply(
      np('b/q', {
        namespaceSelector: 'all()',
        ingress: [
          { action: 'Allow', source: { selector: "app == 'web'", namespaceSelector: "projectcalico.org/name == 'a'" } },
        ],
      }),
    )
    cluster.remove(keyOf(policy))
    expect(cluster.addressSet(webs)).toBeNull()
  })

  test('are one object whose members change', () => {
    const cluster = clusterOf(aPod('a/w', '10.0.0.1', { app: 'web' }), policy)
    const before = cluster.addressSet(webs)
    cluster.apply(aPod('a/x', '10.0.0.2'))
    cluster.apply(aPod('a/w', '10.0.0.1', { app: 'web', more: 'labels' }))
    expect([...(before?.members ?? [])]).toEqual(['10.0.0.1'])
    cluster.apply(aPod('a/x', '10.0.0.2', { app: 'web' }))
    expect(cluster.addressSet(webs)).toBe(before)
    expect([...(before?.members ?? [])].sort()).toEqual(['10.0.0.1', '10.0.0.2'])
  })

  test('hold no block within another', () => {
    const cluster = clusterOf(
      aNetworkSet('s', { nets: ['10.0.0.0/8', '10.1.0.0/16', '2001:db8::/32'] }, { zone: 'x' }),
      aNetworkSet('t', { nets: ['10.2.3.4', '192.0.2.1/32'] }, { zone: 'x' }),
      gnp('p', { ingress: [{ action: 'Deny', source: { selector: "zone == 'x'" } }] }),
    )
    const set = cluster.addressSet(selectorId('zone == "x"'))
    expect([...(set?.members ?? [])].sort()).toEqual(['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'])
    expect(['10.2.3.4', '192.0.2.1', '2001:db8::7', '192.0.2.2'].map((ip) => set?.has(ip))).toEqual([
      true,
      true,
      true,
      false,
    ])
  })

  test('a named port is addresses with protocol and port', () => {
    const cluster = clusterOf(
      aPod(
        'a/w',
        '10.0.0.1',
        { app: 'web' },
        {
          ports: [
            { name: 'http', containerPort: 8080 },
            { name: 'http', containerPort: 53, protocol: 'UDP' },
          ],
        },
      ),
      np('a/p', {
        egress: [{ action: 'Allow', protocol: 'TCP', destination: { selector: "app == 'web'", ports: ['http'] } }],
      }),
    )
    const id = cluster.tiers().flatMap((tier) => tier.policies)[0]?.egress[0]?.destination.portSets[0] as string
    expect([...(cluster.addressSet(id)?.members ?? [])]).toEqual(['10.0.0.1,6,8080'])
  })
})

describe('names of addresses', () => {
  const cluster = clusterOf(
    aPod('a/web-1', '10.0.0.1', { app: 'web', 'projectcalico.org/x': 'y' }),
    aHost('edge', '203.0.113.1'),
    aNetworkSet('wide', { nets: ['198.51.0.0/16'] }),
    aNetworkSet('narrow', { nets: ['198.51.100.0/24'] }, { zone: 'x' }),
    aNetworkSet('a/own', { nets: ['198.51.0.0/16'] }),
    aNetworkSet('b/theirs', { nets: ['192.0.2.0/24'] }),
    aNode('node1', '172.20.0.1'),
    aService('a/web', { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80, nodePort: 30080 }] }),
  )
  const from = cluster.endpoint('wep:a/web-1')

  test.each([
    ['10.0.0.1', null, { type: 'wep', namespace: 'a', name: 'web-1', labels: ['app=web'] }],
    ['203.0.113.1', null, { type: 'hep', namespace: '-', name: 'edge', nameAggr: 'edge' }],
    ['198.51.100.1', null, { type: 'ns', namespace: '-', name: '-', nameAggr: 'narrow', labels: ['zone=x'] }],
    ['198.51.7.1', null, { type: 'ns', nameAggr: 'wide' }],
    ['198.51.100.1', from, { type: 'ns', namespace: 'a', nameAggr: 'own' }],
    ['192.0.2.1', from, { type: 'ns', namespace: 'b', nameAggr: 'theirs' }],
    ['172.31.0.1', null, { type: 'net', nameAggr: 'pvt', name: '-', namespace: '-' }],
    ['100.64.0.1', null, { type: 'net', nameAggr: 'pub' }],
    ['fd00::1', null, { type: 'net', nameAggr: 'pub' }],
  ])('%s', (ip, other, identity) => {
    expect(cluster.identify(ip, other)).toMatchObject(identity)
  })

  describe('that DNS gave names to', () => {
    const named = clusterOf(
      aPod('a/p', '10.0.0.1'),
      aNetworkSet('z-apis', { allowedEgressDomains: ['*.twilio.com'] }),
      aNetworkSet('external-apis', { allowedEgressDomains: ['api.twilio.com'] }),
      aNetworkSet('blocks', { nets: ['54.0.0.0/8'] }),
      aNetworkSet('a/mine', { allowedEgressDomains: ['*.mine.com'] }),
      aNetworkSet('b/theirs', { nets: ['55.0.0.1'], allowedEgressDomains: ['theirs.com'] }),
    )
    const of = (ip: string, domains: string[]) => named.identify(ip, named.endpoint('wep:a/p'), domains).nameAggr

    test.each([
      ['a name, the first set by name', '52.0.0.1', ['API.twilio.com'], 'external-apis'],
      ['another name, by its pattern', '52.0.0.1', ['other.twilio.com'], 'z-apis'],
      ['an address before a name', '54.0.0.1', ['api.twilio.com'], 'blocks'],
      ['a name in its own namespace before an address elsewhere', '54.0.0.1', ['x.mine.com'], 'mine'],
      ['a global name before an address of another namespace', '55.0.0.1', ['api.twilio.com'], 'external-apis'],
      ['a name of another namespace when nothing else is known', '56.0.0.1', ['theirs.com'], 'theirs'],
      ['no name that is known', '56.0.0.1', ['nobody.com'], 'pub'],
    ])('%s', (_, ip, domains, name) => {
      expect(of(ip, domains)).toBe(name)
    })
  })

  test('a service is found by its address, and by its node port on nodes', () => {
    expect(cluster.service('10.96.0.1', 80, 6)).toMatchObject({
      namespace: 'a',
      name: 'web',
      portName: 'http',
      port: 80,
    })
    expect(cluster.service('172.20.0.1', 30080, 6)).toMatchObject({ name: 'web' })
    expect(cluster.service('10.0.0.1', 30080, 6)).toBeNull()
    expect(cluster.service('10.96.0.1', 80, 17)).toBeNull()
  })
})

describe('the model over time', () => {
  test('a policy that cannot be compiled is refused and leaves the model as it was', () => {
    const cluster = clusterOf(np('a/p', { selector: 'all()' }))
    const { revision } = cluster
    expect(() => cluster.apply(np('a/p', { selector: "a = 'b'" }))).toThrow('expected an operator')
    expect(cluster.revision).toBe(revision)
    expect(cluster.tiers().flatMap((tier) => tier.policies)).toHaveLength(1)
  })

  test('a change without meaning for policy is no new revision', () => {
    const pod = aPod('a/p', '10.0.0.1', { app: 'web' })
    const cluster = clusterOf(pod)
    const { revision } = cluster
    cluster.apply({
      ...pod,
      metadata: { ...pod.metadata, resourceVersion: '7' },
      status: { phase: 'Running', podIP: '10.0.0.1', conditions: [] },
    })
    expect(cluster.revision).toBe(revision)
    cluster.apply(aPod('a/p', '10.0.0.1', { app: 'api' }))
    expect(cluster.revision).toBe(revision + 1)
    const node = aNode('n', '172.20.0.1')
    cluster.apply(node)
    cluster.apply({ ...node, status: { ...(node.status as object), conditions: [{ lastHeartbeatTime: 'now' }] } })
    expect(cluster.revision).toBe(revision + 2)
  })

  test('a policy tells the endpoints that it selects, and network sets are none', () => {
    const cluster = clusterOf(
      aPod('a/p', '10.0.0.1', { x: 'y' }),
      aPod('a/q', '10.0.0.2'),
      aNetworkSet('s', {}, { x: 'y' }),
      gnp('p', { selector: 'has(x)' }),
    )
    expect(cluster.selected('gnp:p').map(({ key }) => key)).toEqual(['wep:a/p'])
    expect(cluster.selected('gnp:other')).toEqual([])
  })

  test('built-in tiers come back when their resources go', () => {
    const cluster = clusterOf(aTier('a', 7))
    const names = () => cluster.tiers().map(({ name }) => name)
    expect(names()).toEqual(['a', 'kube-admin', 'default', 'kube-baseline'])
    const given = anObject('projectcalico.org/v3', 'Tier', 'default', {})
    cluster.apply(given)
    cluster.remove(keyOf(given))
    expect(cluster.tiers().find(({ name }) => name === 'default')).toMatchObject({
      order: 1_000_000,
      defaultAction: 'deny',
    })
  })

  test('resources without meaning for policy change nothing', () => {
    const cluster = clusterOf()
    cluster.apply(anObject('apps/v1', 'Deployment', 'd', { spec: {} }, { namespace: 'a' }))
    cluster.apply(anObject('example.org/v1', 'Gadget', 'g', {}))
    expect(cluster.revision).toBe(0)
  })

  test('is the same whatever way it was reached', () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 25 }), (steps) => {
        const cluster = clusterOf()
        const left = new Map<string, Resource>()
        for (const { resource: given, removed } of steps) {
          const key = keyOf(given)
          left.delete(key)
          if (removed) cluster.remove(key)
          else {
            cluster.apply(given)
            left.set(key, given)
          }
          // Looking in between must not change what comes later.
          cluster.endpointByIp('10.0.0.1')
          for (const endpoint of cluster.endpoints()) cluster.governing(endpoint, 'egress')
          for (const id of setsOf(cluster)) cluster.addressSet(id)
        }
        const fresh = clusterOf(...left.values())
        expect(snapshot(cluster)).toEqual(snapshot(fresh))
      }),
      { numRuns: isNightly ? 4000 : 40 },
    )
  }, 120_000)
})

const setsOf = (cluster: Cluster) => {
  const rules = cluster
    .tiers()
    .flatMap((tier) => tier.policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]))
  const ends = rules.flatMap(({ source, destination }) => [source, destination])
  return [...new Set(ends.flatMap((end) => [...end.sets, ...end.notSets, ...end.portSets, ...end.notPortSets]))].sort()
}

/** Everything that can be asked of a model, in comparable form. Which of two endpoints has an address depends on the order of their coming. */
function snapshot(cluster: Cluster) {
  const endpoints = [...cluster.endpoints()].sort((a, b) => (a.key < b.key ? -1 : 1))
  const ips = endpoints.flatMap((endpoint) => endpoint.ips)
  const sole = ips.filter((ip) => ips.indexOf(ip) === ips.lastIndexOf(ip))
  return {
    tiers: cluster.tiers(),
    sets: setsOf(cluster).map((id) => [id, [...(cluster.addressSet(id)?.members ?? [])].sort()]),
    endpoints,
    hosts: cluster.hostEndpoints('a'),
    governing: endpoints.map((endpoint) => cluster.governing(endpoint, 'egress')),
    names: ['10.0.9.7', '10.0.0.9', '2001:db8:1::1'].map((ip) =>
      cluster.identify(ip, endpoints[0] ?? null, ['a.x.com']),
    ),
    service: cluster.service('10.96.0.1', 80, 6),
    verdicts: sole.flatMap((from) =>
      [...sole, '10.0.9.7', '2001:db8:1::1'].map((to) =>
        judged(cluster, tcp(from, to, 8080, { domains: ['a.x.com'] })),
      ),
    ),
  }
}
