import { describe, expect, test } from 'vitest'
import type { Resource } from '../../src/resources/resource.ts'
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
  kcnp,
  knp,
  np,
  tcp,
  verdictOf,
} from './make.ts'

const web = aPod('shop/web', '10.0.0.1', { app: 'web' }, { ports: [{ name: 'http', containerPort: 8080 }] })
const api = aPod('shop/api', '10.0.0.2', { app: 'api' }, { node: 'node2', account: 'api' })
const other = aPod('dev/tool', '10.0.0.3', { app: 'tool' }, { node: 'node2' })
const pods = [aNamespace('shop', { team: 'a' }), aNamespace('dev', { team: 'b' }), web, api, other]
const [webIp, apiIp, otherIp, outsideIp] = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '198.51.100.7']
const allow = { action: 'Allow' }
const toWeb = (spec: Record<string, unknown>, rule: Record<string, unknown>) =>
  np('shop/web', { selector: "app == 'web'", ingress: [{ ...allow, ...rule }], ...spec })
const reaches = (policy: Resource, from: string, port = 8080, more: readonly Resource[] = []) =>
  verdictOf(clusterOf(...pods, ...more, policy), tcp(from, webIp, port)) === 'allow'

describe('without policy', () => {
  test('pods talk freely by the profile of their namespace, even one that nobody has declared', () => {
    expect(judged(clusterOf(web, api), tcp(apiIp, webIp, 80))).toMatchObject({
      verdict: 'allow',
      egress: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'],
      ingress: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'],
    })
  })

  test('an address that is no endpoint has no judgement', () => {
    const { egress, ingress } = judged(clusterOf(web), tcp(outsideIp, webIp, 80))
    expect(egress).toBeNull()
    expect(ingress).not.toBeNull()
  })

  test('an endpoint whose profiles are silent is denied', () => {
    const endpoint = anObject(
      'projectcalico.org/v3',
      'WorkloadEndpoint',
      'w',
      { spec: { node: 'n', ipNetworks: ['10.0.0.9/32'] } },
      { namespace: 'x' },
    )
    expect(judged(clusterOf(endpoint), tcp('10.0.0.9', outsideIp, 80))).toMatchObject({
      verdict: 'deny',
      egress: ['0|__PROFILE__|__PROFILE__.__NO_MATCH__|deny|-1'],
    })
  })
})

describe('tiers', () => {
  test('an enforced policy that says nothing ends its tier in the default action', () => {
    const pass = clusterOf(...pods, aTier('a', 1, 'Pass'), gnp('p', { tier: 'a', types: ['Egress'] }))
    expect(judged(pass, tcp(webIp, outsideIp, 80)).egress).toEqual([
      '0|a|a.p|pass|-1',
      '1|__PROFILE__|__PROFILE__.kns.shop|allow|0',
    ])
    const deny = clusterOf(...pods, aTier('a', 1), gnp('p', { tier: 'a', types: ['Egress'] }))
    expect(judged(deny, tcp(webIp, outsideIp, 80))).toMatchObject({ verdict: 'deny', egress: ['0|a|a.p|deny|-1'] })
  })

  test('the last policy that selects the endpoint stands for the end of the tier', () => {
    const cluster = clusterOf(
      ...pods,
      gnp('z', { order: 1, types: ['Egress'] }),
      gnp('a', { order: 2, types: ['Egress'] }),
      gnp('c', { order: 3, selector: 'has(nothing)', types: ['Egress'] }),
    )
    expect(judged(cluster, tcp(webIp, outsideIp, 80)).egress).toEqual(['0|default|default.a|deny|-1'])
  })

  test('policies without order come last, equals by name', () => {
    const deny = { egress: [{ action: 'Deny' }] }
    const cluster = clusterOf(
      ...pods,
      gnp('a', deny),
      gnp('z', { order: 5, egress: [allow] }),
      gnp('y', { order: 5, ...deny }),
    )
    expect(judged(cluster, tcp(webIp, outsideIp, 80)).egress).toEqual(['0|default|default.y|deny|0'])
  })

  test('a policy of a tier that does not exist waits for it', () => {
    const policy = gnp('p', { tier: 'later', egress: [{ action: 'Deny' }] })
    const cluster = clusterOf(...pods, policy)
    expect(verdictOf(cluster, tcp(webIp, outsideIp, 80))).toBe('allow')
    cluster.apply(aTier('later', 1))
    expect(verdictOf(cluster, tcp(webIp, outsideIp, 80))).toBe('deny')
    cluster.remove('tiers.projectcalico.org/-/later')
    expect(verdictOf(cluster, tcp(webIp, outsideIp, 80))).toBe('allow')
  })

  test('a policy without the type leaves the direction alone', () => {
    const cluster = clusterOf(...pods, gnp('p', { types: ['Ingress'], egress: [{ action: 'Deny' }] }))
    expect(verdictOf(cluster, tcp(webIp, outsideIp, 80))).toBe('allow')
  })

  test('a Log rule is passed over', () => {
    const cluster = clusterOf(...pods, gnp('p', { egress: [{ action: 'Log' }, allow] }))
    expect(judged(cluster, tcp(webIp, outsideIp, 80)).egress).toEqual(['0|default|default.p|allow|1'])
  })
})

describe('rule criteria', () => {
  test.each<[string, Record<string, unknown>, string, boolean]>([
    ['a selector stays within the namespace', { source: { selector: "app == 'tool'" } }, otherIp, false],
    ['a selector finds its neighbour', { source: { selector: "app == 'api'" } }, apiIp, true],
    ['a namespace selector reaches other namespaces', { source: { namespaceSelector: "team == 'b'" } }, otherIp, true],
    [
      'all() is any namespaced endpoint, not an outside address',
      { source: { namespaceSelector: 'all()' } },
      outsideIp,
      false,
    ],
    ['an empty side is everybody', {}, outsideIp, true],
    [
      'notSelector alone in a namespaced policy stays within the namespace',
      { source: { notSelector: "app == 'x'" } },
      outsideIp,
      false,
    ],
    ['an absent label passes !=', { source: { selector: "role != 'db'" } }, apiIp, true],
    ['nets', { source: { nets: ['198.51.100.0/24'] } }, outsideIp, true],
    ['notNets', { source: { notNets: ['198.51.100.0/24'] } }, outsideIp, false],
    [
      'nets and a selector must both hold',
      { source: { nets: ['198.51.100.0/24'], selector: "app == 'api'" } },
      apiIp,
      false,
    ],
    ['a service account by name', { source: { serviceAccounts: { names: ['api'] } } }, apiIp, true],
    ['another service account', { source: { serviceAccounts: { names: ['web'] } } }, apiIp, false],
    ['a service account by label', { source: { serviceAccounts: { selector: "pci == 'true'" } } }, apiIp, true],
    ['the port', { protocol: 'TCP', destination: { ports: [8080] } }, apiIp, true],
    ['a range of ports', { protocol: 'TCP', destination: { ports: ['8000:8079'] } }, apiIp, false],
    ['a named port', { protocol: 'TCP', destination: { ports: ['http'] } }, apiIp, true],
    ['a named port of another protocol', { protocol: 'UDP', destination: { ports: ['http'] } }, apiIp, false],
    ['a named port without protocol', { destination: { ports: ['http'] } }, apiIp, true],
    ['number or name', { protocol: 'TCP', destination: { ports: [9, 'http'] } }, apiIp, true],
    ['notPorts', { protocol: 'TCP', destination: { notPorts: [8080] } }, apiIp, false],
    ['notPorts by name', { protocol: 'TCP', destination: { notPorts: ['http'] } }, apiIp, false],
    ['notProtocol', { notProtocol: 'TCP' }, apiIp, false],
    ['IPv6 only', { ipVersion: 6 }, apiIp, false],
    ['a source port', { protocol: 'TCP', source: { ports: [40000] } }, apiIp, true],
  ])('%s', (_, rule, from, reached) => {
    expect(reaches(toWeb({}, rule), from, 8080, [aServiceAccount('shop', 'api', { pci: 'true' })])).toBe(reached)
  })

  test('ICMP is told by type and code', () => {
    const cluster = clusterOf(...pods, toWeb({}, { protocol: 'ICMP', icmp: { type: 8 } }))
    const ping = (type: number) =>
      tcp(apiIp, webIp, 0, { protocol: 1, sourcePort: null, destinationPort: null, icmp: { type, code: 0 } })
    expect(verdictOf(cluster, ping(8))).toBe('allow')
    expect(verdictOf(cluster, ping(13))).toBe('deny')
  })

  test('network sets of the namespace, of other namespaces and of nobody are told apart', () => {
    const sets = [
      aNetworkSet('shop/s', { nets: ['192.0.2.1'] }, { zone: 'x' }),
      aNetworkSet('dev/s', { nets: ['192.0.2.2'] }, { zone: 'x' }),
      aNetworkSet('s', { nets: ['192.0.2.3'] }, { zone: 'x' }),
    ]
    const open = (source: Record<string, unknown>, global = false) => {
      const rule = { selector: "app == 'web'", ingress: [{ ...allow, source: { selector: "zone == 'x'", ...source } }] }
      const cluster = clusterOf(...pods, ...sets, global ? gnp('p', rule) : np('shop/p', rule))
      return [1, 2, 3].filter((n) => verdictOf(cluster, tcp(`192.0.2.${n}`, webIp, 80)) === 'allow')
    }
    expect(open({})).toEqual([1])
    expect(open({ namespaceSelector: "projectcalico.org/name == 'dev'" })).toEqual([2])
    expect(open({ namespaceSelector: 'all()' })).toEqual([1, 2])
    expect(open({ namespaceSelector: 'global()' })).toEqual([3])
    expect(open({}, true)).toEqual([1, 2, 3])
  })

  test('domain names of a set act in egress Allow rules only, beside its addresses', () => {
    const set = aNetworkSet('apis', { nets: ['192.0.2.9'], allowedEgressDomains: ['*.pay.example'] }, { kind: 'api' })
    const rule = { protocol: 'TCP', destination: { selector: "kind == 'api'", ports: [443] } }
    const cluster = (action: string) =>
      clusterOf(
        ...pods,
        set,
        gnp('p', { egress: [{ action, ...rule }, { action: action === 'Allow' ? 'Deny' : 'Allow' }] }),
      )
    const named = tcp(webIp, outsideIp, 443, { domains: ['a.pay.example'] })
    expect(verdictOf(cluster('Allow'), named)).toBe('allow')
    expect(verdictOf(cluster('Allow'), { ...named, destinationPort: 80 })).toBe('deny')
    expect(verdictOf(cluster('Allow'), tcp(webIp, '192.0.2.9', 443))).toBe('allow')
    expect(verdictOf(cluster('Deny'), named)).toBe('allow')
  })

  test('a service is its addresses and target ports', () => {
    const service = aService('shop/web', {
      clusterIP: '10.96.0.9',
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 'http' }],
    })
    const egress = clusterOf(
      ...pods,
      service,
      np('shop/api', { selector: "app == 'api'", egress: [{ ...allow, destination: { services: { name: 'web' } } }] }),
    )
    expect(verdictOf(egress, tcp(apiIp, webIp, 8080))).toBe('allow')
    expect(verdictOf(egress, tcp(apiIp, webIp, 80))).toBe('deny')
    const slice = anObject(
      'discovery.k8s.io/v1',
      'EndpointSlice',
      'web-1',
      { endpoints: [{ addresses: [outsideIp] }], ports: [{ port: 9, protocol: 'TCP' }] },
      { namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    )
    egress.apply(slice)
    expect(verdictOf(egress, tcp(apiIp, webIp, 8080))).toBe('deny')
    expect(verdictOf(egress, tcp(apiIp, outsideIp, 9))).toBe('allow')
    const ingress = clusterOf(
      ...pods,
      service,
      np('shop/api', { selector: "app == 'api'", ingress: [{ ...allow, source: { services: { name: 'web' } } }] }),
    )
    expect(verdictOf(ingress, tcp(webIp, apiIp, 1))).toBe('allow')
    expect(verdictOf(ingress, tcp(otherIp, apiIp, 1))).toBe('deny')
  })
})

describe('Kubernetes policies', () => {
  const open = (spec: Record<string, unknown>, from: string, port = 8080) =>
    reaches(knp('shop/p', { podSelector: { matchLabels: { app: 'web' } }, ...spec }), from, port)

  test.each<[string, Record<string, unknown>, string, number, boolean]>([
    ['no rules deny all', { ingress: [] }, apiIp, 8080, false],
    ['an empty rule allows all', { ingress: [{}] }, outsideIp, 8080, true],
    ['a pod selector stays within the namespace', { ingress: [{ from: [{ podSelector: {} }] }] }, otherIp, 8080, false],
    [
      'a namespace selector opens others',
      { ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'b' } } }] }] },
      otherIp,
      8080,
      true,
    ],
    [
      'both selectors must hold',
      { ingress: [{ from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'api' } } }] }] },
      otherIp,
      8080,
      false,
    ],
    [
      'an empty namespace selector is any pod, not the outside',
      { ingress: [{ from: [{ namespaceSelector: {} }] }] },
      outsideIp,
      8080,
      false,
    ],
    ['a block', { ingress: [{ from: [{ ipBlock: { cidr: '198.51.100.0/24' } }] }] }, outsideIp, 8080, true],
    [
      'a block but for a part',
      { ingress: [{ from: [{ ipBlock: { cidr: '198.51.0.0/16', except: ['198.51.100.0/24'] } }] }] },
      outsideIp,
      8080,
      false,
    ],
    ['a port is TCP', { ingress: [{ ports: [{ port: 8080 }] }] }, apiIp, 8080, true],
    ['a port range', { ingress: [{ ports: [{ port: 8000, endPort: 8100 }] }] }, apiIp, 8101, false],
    ['a named port', { ingress: [{ ports: [{ port: 'http' }] }] }, apiIp, 8080, true],
    [
      'expressions',
      { podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, ingress: [] },
      apiIp,
      8080,
      true,
    ],
    [
      'a kubernetes label of the namespace',
      { ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'dev' } } }] }] },
      otherIp,
      8080,
      true,
    ],
  ])('%s', (_, spec, from, port, reached) => {
    expect(open(spec, from, port)).toBe(reached)
  })

  test('a rule is named by its place in the policy, however many it becomes', () => {
    const from = [{ podSelector: { matchLabels: { app: 'x' } } }, { ipBlock: { cidr: '192.0.2.0/24' } }]
    const cluster = clusterOf(
      ...pods,
      knp('shop/p', { podSelector: {}, ingress: [{ from, ports: [{ port: 1 }, { port: 2, protocol: 'UDP' }] }, {}] }),
    )
    expect(judged(cluster, tcp(apiIp, webIp, 80)).ingress).toEqual(['0|default|shop/knp.default.p|allow|1'])
  })

  test('a cluster policy acts before or after the others, by its tier', () => {
    const subject = { namespaces: { matchLabels: { team: 'a' } } }
    const from = [{ namespaces: { matchLabels: { team: 'b' } } }]
    const cluster = clusterOf(
      ...pods,
      kcnp('block', {
        tier: 'Admin',
        priority: 10,
        subject,
        ingress: [{ name: 'x', action: 'Deny', from, protocols: [{ tcp: { destinationPort: { number: 80 } } }] }],
      }),
      kcnp('base', { tier: 'Baseline', priority: 10, subject, ingress: [{ action: 'Deny', from }] }),
      knp('shop/p', { podSelector: { matchLabels: { app: 'api' } }, ingress: [{}] }),
    )
    expect(judged(cluster, tcp(otherIp, webIp, 80)).ingress).toEqual(['0|kube-admin|kcnp.kube-admin.block|deny|0'])
    expect(judged(cluster, tcp(otherIp, webIp, 81)).ingress).toEqual([
      '0|kube-admin|kcnp.kube-admin.block|pass|-1',
      '1|kube-baseline|kcnp.kube-baseline.base|deny|0',
    ])
    expect(verdictOf(cluster, tcp(otherIp, apiIp, 81))).toBe('allow')
  })

  test('a cluster policy rule that cannot be said denies all if it denies, and is dropped otherwise', () => {
    const subject = { namespaces: {} }
    const nodes = [{ nodes: { matchLabels: { a: 'b' } } }]
    const cluster = (action: string) =>
      clusterOf(...pods, kcnp('p', { tier: 'Admin', priority: 1, subject, egress: [{ action, to: nodes }] }))
    expect(verdictOf(cluster('Deny'), tcp(webIp, outsideIp, 1))).toBe('deny')
    expect(judged(cluster('Accept'), tcp(webIp, outsideIp, 1)).egress?.[0]).toBe(
      '0|kube-admin|kcnp.kube-admin.p|pass|-1',
    )
  })
})

describe('staged policies', () => {
  const deny = gnp('p', { egress: [{ action: 'Deny' }] })
  const staged = (stagedAction: string, spec = {}) => gnp('p', { stagedAction, ...spec }, 'StagedGlobalNetworkPolicy')

  test('never change the verdict', () => {
    const cluster = clusterOf(...pods, staged('Set', { egress: [{ action: 'Deny' }] }))
    expect(judged(cluster, tcp(webIp, outsideIp, 80))).toMatchObject({
      verdict: 'allow',
      egress: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'],
      pendingEgress: ['0|default|staged:default.p|deny|0'],
    })
  })

  test('a staged Set takes the place of the enforced policy of its name', () => {
    const cluster = clusterOf(...pods, deny, staged('Set', { egress: [allow] }))
    expect(judged(cluster, tcp(webIp, outsideIp, 80))).toMatchObject({
      verdict: 'deny',
      egress: ['0|default|default.p|deny|0'],
      pendingEgress: ['0|default|staged:default.p|allow|0'],
    })
  })

  test('a staged Delete removes it', () => {
    const cluster = clusterOf(...pods, deny, staged('Delete'))
    expect(judged(cluster, tcp(webIp, outsideIp, 80))).toMatchObject({
      verdict: 'deny',
      pendingEgress: ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0'],
    })
  })

  test('a recommendation that was ignored previews nothing', () => {
    const cluster = clusterOf(...pods, staged('Ignore', { egress: [{ action: 'Deny' }] }))
    expect(judged(cluster, tcp(webIp, outsideIp, 80)).pendingEgress).toEqual([
      '0|__PROFILE__|__PROFILE__.kns.shop|allow|0',
    ])
  })

  test('a staged Kubernetes policy previews the Kubernetes policy of its name', () => {
    const sknp = anObject(
      'projectcalico.org/v3',
      'StagedKubernetesNetworkPolicy',
      'p',
      { spec: { podSelector: {}, ingress: [{}] } },
      { namespace: 'shop' },
    )
    const cluster = clusterOf(...pods, knp('shop/p', { podSelector: {}, ingress: [] }), sknp)
    expect(judged(cluster, tcp(apiIp, webIp, 80))).toMatchObject({
      ingress: ['0|default|shop/knp.default.p|deny|-1'],
      pendingIngress: ['0|default|shop/staged:knp.default.p|allow|0'],
    })
  })
})

describe('hosts', () => {
  const host = aHost('node1', '172.20.0.1', {}, { role: 'node' })
  const drop = gnp('host', { selector: "role == 'node'", ingress: [{ action: 'Deny' }] })

  test('a pod reaches itself, and its own host reaches it, whatever policy says', () => {
    const cluster = clusterOf(...pods, aNode('node1', '172.20.0.1'), gnp('p', { types: ['Ingress', 'Egress'] }))
    expect(judged(cluster, tcp(webIp, webIp, 1))).toMatchObject({ verdict: 'allow', egress: [], ingress: [] })
    expect(verdictOf(cluster, tcp('172.20.0.1', webIp, 1))).toBe('allow')
    expect(verdictOf(cluster, tcp('172.20.0.1', apiIp, 1))).toBe('deny')
  })

  test('host policy acts, but not on failsafe ports', () => {
    const cluster = clusterOf(...pods, host, drop)
    expect(judged(cluster, tcp(outsideIp, '172.20.0.1', 80)).ingress).toEqual(['0|default|default.host|deny|0'])
    expect(judged(cluster, tcp(outsideIp, '172.20.0.1', 22))).toMatchObject({ verdict: 'allow', ingress: [] })
    cluster.apply(
      anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', { spec: { failsafeInboundHostPorts: [] } }),
    )
    expect(verdictOf(cluster, tcp(outsideIp, '172.20.0.1', 22))).toBe('deny')
  })

  test('what a pod may do to its own host is a setting', () => {
    const cluster = clusterOf(...pods, host, drop)
    const configure = (defaultEndpointToHostAction: string) =>
      cluster.apply(
        anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', { spec: { defaultEndpointToHostAction } }),
      )
    const toHost = tcp(webIp, '172.20.0.1', 80)
    expect(judged(cluster, toHost)).toMatchObject({ verdict: 'deny', ingress: [] })
    configure('Accept')
    expect(judged(cluster, toHost)).toMatchObject({ verdict: 'allow', ingress: [] })
    configure('Return')
    expect(judged(cluster, toHost)).toMatchObject({ verdict: 'deny', ingress: ['0|default|default.host|deny|0'] })
  })

  test('an untracked or pre-DNAT Allow is final, and neither ends in a default', () => {
    const flags = {
      selector: "role == 'node'",
      applyOnForward: true,
      ingress: [{ ...allow, source: { nets: ['192.0.2.0/24'] } }],
    }
    for (const flag of ['doNotTrack', 'preDNAT']) {
      const cluster = clusterOf(host, drop, gnp('early', { ...flags, [flag]: true }))
      expect(judged(cluster, tcp('192.0.2.1', '172.20.0.1', 80)).ingress).toEqual(['0|default|default.early|allow|0'])
      expect(judged(cluster, tcp(outsideIp, '172.20.0.1', 80)).ingress).toEqual(['0|default|default.host|deny|0'])
    }
  })
})

describe('blocks of one IP version', () => {
  const six = aPod('shop/six', 'fd00::1', { app: 'web' })
  test.each<[string, Record<string, unknown>, boolean, boolean]>([
    ['bind a rule to it', { source: { nets: ['198.51.100.0/24'] } }, true, false],
    ['do so by exclusion too', { source: { notNets: ['203.0.113.0/24'] } }, true, false],
    ['in either version', { destination: { notNets: ['fd01::/16'] } }, false, true],
    ['no blocks bind it to none', {}, true, true],
  ])('%s', (_, rule, four, sixth) => {
    const cluster = clusterOf(...pods, six, toWeb({}, rule))
    expect(verdictOf(cluster, tcp(outsideIp, webIp, 80))).toBe(four ? 'allow' : 'deny')
    expect(verdictOf(cluster, tcp('2001:db8::1', 'fd00::1', 80))).toBe(sixth ? 'allow' : 'deny')
  })
})
