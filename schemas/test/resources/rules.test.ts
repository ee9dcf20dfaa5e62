import { describe, expect, test } from 'vitest'
import { completeResource, validateResource } from '../../src/resources/kinds.ts'
import type { Resource } from '../../src/resources/resource.ts'

const make = (
  kind: string,
  spec: unknown,
  metadata: Record<string, unknown> = {},
  apiVersion = 'projectcalico.org/v3',
) => ({ apiVersion, kind, metadata: { name: 'a', ...metadata }, spec }) as Resource
const rulesOf = (resource: Resource) =>
  validateResource(resource).map(({ severity, rule, path }) => `${severity} ${rule} ${path}`)
const gnp = (spec: object, metadata = {}) => make('GlobalNetworkPolicy', spec, metadata)
const np = (spec: object, metadata = {}) => make('NetworkPolicy', spec, { namespace: 'shop', ...metadata })
const alert = (spec: object) => make('GlobalAlert', { description: 'x', severity: 50, dataSet: 'flows', ...spec })
const feed = (spec: object) => make('GlobalThreatFeed', spec)
const allow = { action: 'Allow' }
const url = 'https://intel.example.org/list.txt'
const k8s = (spec: object) => make('NetworkPolicy', spec, { namespace: 'shop' }, 'networking.k8s.io/v1')

describe('what is refused, and by which rule', () => {
  test.each<[string, Resource, string]>([
    ['a tier name with a dot', make('Tier', { order: 1 }, { name: 'a.b' }), 'name metadata.name'],
    ['an order for a built-in tier', make('Tier', { order: 1 }, { name: 'default' }), 'built-in-tier spec.order'],
    [
      'a default action for a built-in tier',
      make('Tier', { defaultAction: 'Deny' }, { name: 'kube-admin' }),
      'built-in-tier spec.defaultAction',
    ],
    [
      'doNotTrack with preDNAT',
      gnp({ doNotTrack: true, preDNAT: true, applyOnForward: true }),
      'untracked-and-pre-dnat spec.preDNAT',
    ],
    ['doNotTrack without applyOnForward', gnp({ doNotTrack: true }), 'apply-on-forward spec.doNotTrack'],
    [
      'preDNAT with egress rules',
      gnp({ preDNAT: true, applyOnForward: true, egress: [allow] }),
      'pre-dnat-egress spec.egress',
    ],
    [
      'preDNAT with type Egress',
      gnp({ preDNAT: true, applyOnForward: true, types: ['Egress'] }),
      'pre-dnat-egress spec.types',
    ],
    [
      'a numeric port without protocol',
      np({ ingress: [{ ...allow, destination: { ports: [80] } }] }),
      'port-needs-protocol spec.ingress[0].destination.ports[0]',
    ],
    [
      'a port with ICMP',
      np({ ingress: [{ ...allow, protocol: 'ICMP', source: { ports: ['http'] } }] }),
      'port-needs-protocol spec.ingress[0].source.ports[0]',
    ],
    [
      'a port range that ends before it begins',
      np({ ingress: [{ ...allow, protocol: 'TCP', destination: { ports: ['9:8'] } }] }),
      'port spec.ingress[0].destination.ports[0]',
    ],
    [
      'port 0',
      np({ ingress: [{ ...allow, protocol: 'TCP', destination: { ports: [0] } }] }),
      'range spec.ingress[0].destination.ports[0]',
    ],
    ['a lower-case protocol', np({ ingress: [{ ...allow, protocol: 'tcp' }] }), 'one-of spec.ingress[0].protocol'],
    ['protocol 0', np({ ingress: [{ ...allow, protocol: 0 }] }), 'range spec.ingress[0].protocol'],
    [
      'icmp.code without icmp.type',
      np({ ingress: [{ ...allow, protocol: 'ICMP', icmp: { code: 1 } }] }),
      'icmp-code-needs-type spec.ingress[0].icmp.code',
    ],
    [
      'icmp without protocol',
      np({ ingress: [{ ...allow, icmp: { type: 8 } }] }),
      'icmp-needs-protocol spec.ingress[0].icmp',
    ],
    [
      'ICMP in IPv6',
      np({ ingress: [{ ...allow, protocol: 'ICMP', ipVersion: 6 }] }),
      'ip-version-conflict spec.ingress[0].ipVersion',
    ],
    [
      'notNets of everything',
      np({ ingress: [{ ...allow, source: { notNets: ['0.0.0.0/0'] } }] }),
      'not-nets-excludes-all spec.ingress[0].source.notNets[0]',
    ],
    [
      'IPv4 and IPv6 in one rule',
      np({ ingress: [{ ...allow, source: { nets: ['10.0.0.0/8'] }, destination: { nets: ['2001:db8::/32'] } }] }),
      'mixed-ip-families spec.ingress[0].destination.nets[0]',
    ],
    [
      'nets against ipVersion',
      np({ ingress: [{ ...allow, ipVersion: 6, source: { nets: ['10.0.0.0/8'] } }] }),
      'mixed-ip-families spec.ingress[0].source.nets[0]',
    ],
    [
      'a net with bits beyond the prefix',
      np({ ingress: [{ ...allow, source: { nets: ['10.0.0.1/8'] } }] }),
      'cidr spec.ingress[0].source.nets[0]',
    ],
    [
      'a net given twice',
      np({ ingress: [{ ...allow, source: { nets: ['10.0.0.0/8', '10.0.0.0/8'] } }] }),
      'unique spec.ingress[0].source.nets[1]',
    ],
    ['a selector with a single =', np({ selector: "a = 'b'" }), 'selector spec.selector'],
    ['global() in a policy selector', gnp({ selector: 'global()' }), 'selector spec.selector'],
    [
      'global() combined',
      np({ ingress: [{ ...allow, source: { namespaceSelector: 'global() && has(x)' } }] }),
      'namespace-selector spec.ingress[0].source.namespaceSelector',
    ],
    [
      'a global service match without namespace',
      gnp({ egress: [{ ...allow, destination: { services: { name: 'db' } } }] }),
      'services-namespace spec.egress[0].destination.services.namespace',
    ],
    [
      'services in the destination of ingress',
      np({ ingress: [{ ...allow, destination: { services: { name: 'db' } } }] }),
      'services-place spec.ingress[0].destination.services',
    ],
    [
      'services with a selector',
      np({ egress: [{ ...allow, destination: { services: { name: 'db' }, selector: 'has(a)' } }] }),
      'services-alone spec.egress[0].destination.services',
    ],
    [
      'services with ports in egress',
      np({ egress: [{ ...allow, protocol: 'TCP', destination: { services: { name: 'db' }, ports: [1] } }] }),
      'services-alone spec.egress[0].destination.services',
    ],
    [
      'http with Deny',
      np({ ingress: [{ action: 'Deny', http: { methods: ['GET'] } }] }),
      'http-needs-allow spec.ingress[0].http',
    ],
    [
      'http in egress',
      np({ egress: [{ ...allow, http: { methods: ['GET'] } }] }),
      'http-needs-ingress spec.egress[0].http',
    ],
    [
      'http with UDP',
      np({ ingress: [{ ...allow, protocol: 'UDP', http: { methods: ['GET'] } }] }),
      'http-needs-tcp spec.ingress[0].http',
    ],
    [
      'domains in a Deny rule',
      np({ egress: [{ action: 'Deny', destination: { domains: ['a.example'] } }] }),
      'domains-place spec.egress[0].destination.domains',
    ],
    [
      'domains in ingress',
      np({ ingress: [{ ...allow, source: { domains: ['a.example'] } }] }),
      'domains-place spec.ingress[0].source.domains',
    ],
    [
      'domains with nets',
      np({ egress: [{ ...allow, destination: { domains: ['a.example'], nets: ['10.0.0.0/8'] } }] }),
      'domains-alone spec.egress[0].destination.domains',
    ],
    [
      'a wildcard inside a label',
      np({ egress: [{ ...allow, destination: { domains: ['g*.example'] } }] }),
      'domain spec.egress[0].destination.domains[0]',
    ],
    [
      'a wildcard at the end',
      np({ egress: [{ ...allow, destination: { domains: ['www.*'] } }] }),
      'domain spec.egress[0].destination.domains[0]',
    ],
    ['an unknown action', np({ ingress: [{ action: 'Accept' }] }), 'one-of spec.ingress[0].action'],
    ['a rule without action', np({ ingress: [{}] }), 'required spec.ingress[0].action'],
    ['types given twice', np({ types: ['Ingress', 'Ingress'] }), 'unique spec.types[1]'],
    ['a policy name of three labels', np({}, { name: 'a.b.c' }), 'name metadata.name'],
    [
      'a staged deletion with rules',
      make('StagedNetworkPolicy', { stagedAction: 'Delete', ingress: [allow] }, { namespace: 'shop' }),
      'staged-delete spec.ingress',
    ],
    [
      'a staged deletion with a pod selector',
      make(
        'StagedKubernetesNetworkPolicy',
        { stagedAction: 'Delete', podSelector: { matchLabels: { a: 'b' } } },
        { namespace: 'shop' },
      ),
      'staged-delete spec.podSelector',
    ],
    ['a host endpoint that cannot be found', make('HostEndpoint', { node: 'n' }), 'interface-or-ips spec'],
    ['a host endpoint without node', make('HostEndpoint', { interfaceName: 'eth0' }), 'required spec.node'],
    [
      'a host endpoint on a workload interface',
      make('HostEndpoint', { node: 'n', interfaceName: 'cali1' }),
      'workload-interface spec.interfaceName',
    ],
    [
      'a namespace label on a network set',
      make('GlobalNetworkSet', {}, { labels: { 'projectcalico.org/namespace': 'x' } }),
      'reserved-label metadata.labels["projectcalico.org/namespace"]',
    ],
    ['a label value with a space', make('GlobalNetworkSet', {}, { labels: { a: 'b c' } }), 'label metadata.labels.a'],
    ['a metric sum without field', alert({ metric: 'sum', condition: 'gt' }), 'metric-needs-field spec.field'],
    [
      'count with a field',
      alert({ metric: 'count', field: 'bytes_in', condition: 'gt' }),
      'count-takes-no-field spec.field',
    ],
    ['a field without metric', alert({ field: 'bytes_in' }), 'field-needs-metric spec.field'],
    ['a metric without condition', alert({ metric: 'count' }), 'metric-needs-condition spec.condition'],
    ['severity 0', alert({ severity: 0 }), 'range spec.severity'],
    ['an alert without data set', alert({ dataSet: undefined }), 'data-set-required spec.dataSet'],
    ['a period of 30 seconds', alert({ period: '30s' }), 'too-frequent spec.period'],
    ['a period in days', alert({ period: '1d' }), 'duration spec.period'],
    [
      'a substitution given twice',
      alert({ substitutions: [{ name: 'b' }, { name: 'b' }] }),
      'unique spec.substitutions[1].name',
    ],
    ['a feed pulled every minute', feed({ pull: { period: '1m', http: { url } } }), 'too-frequent spec.pull.period'],
    [
      'a network set of domains',
      feed({ content: 'DomainNameSet', globalNetworkSet: {}, pull: { http: { url } } }),
      'domains-have-no-network-set spec.globalNetworkSet',
    ],
    ['a feed over ftp', feed({ pull: { http: { url: 'ftp://a.example/x' } } }), 'http-url spec.pull.http.url'],
    [
      'a capture that ends before it starts',
      make(
        'PacketCapture',
        { startTime: '2030-01-02T00:00:00Z', endTime: '2030-01-01T00:00:00Z' },
        { namespace: 'shop' },
      ),
      'end-before-start spec.endTime',
    ],
    [
      'a report every minute',
      make('GlobalReport', { reportType: 'inventory', schedule: '* * * * *' }),
      'too-frequent spec.schedule',
    ],
    [
      'a report at hour 25',
      make('GlobalReport', { reportType: 'inventory', schedule: '0 25 * * *' }),
      'schedule spec.schedule',
    ],
    [
      'thresholds upside down',
      make('GlobalReport', { reportType: 'cis-benchmark', schedule: '0 0 * * *', cis: { highThreshold: 40 } }),
      'thresholds spec.cis.highThreshold',
    ],
    [
      'a node selector on the default configuration',
      make('FelixConfiguration', { nodeSelector: 'all()' }, { name: 'default' }),
      'node-selector spec.nodeSelector',
    ],
    [
      'an aggregation level that does not exist',
      make('FelixConfiguration', { flowLogsFileAggregationKindForAllowed: 3 }),
      'range spec.flowLogsFileAggregationKindForAllowed',
    ],
    [
      'a rate without a unit of time',
      make('FelixConfiguration', { logActionRateLimit: '10' }),
      'rate spec.logActionRateLimit',
    ],
    [
      'an action on denial that does not exist',
      make('FelixConfiguration', { nftablesFilterDenyAction: 'Refuse' }),
      'one-of spec.nftablesFilterDenyAction',
    ],
    [
      'an exception outside its block',
      k8s({ podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }] }] }),
      'ip-block-except spec.ingress[0].from[0].ipBlock.except[0]',
    ],
    [
      'endPort with a named port',
      k8s({ podSelector: {}, ingress: [{ ports: [{ port: 'http', endPort: 90 }] }] }),
      'end-port spec.ingress[0].ports[0].endPort',
    ],
    [
      'In without values',
      k8s({ podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }),
      'match-values spec.podSelector.matchExpressions[0].values',
    ],
  ])('%s', (_, resource, problem) => {
    expect(rulesOf(resource)).toContain(`error ${problem}`)
  })
})

describe('what is accepted', () => {
  test.each<[string, Resource]>([
    ['a named port without protocol', np({ ingress: [{ ...allow, destination: { ports: ['http'] } }] })],
    ['a generated policy name', np({}, { name: 'knp.default.a.b.c' })],
    ['a named network set with loose nets', make('GlobalNetworkSet', { nets: ['10.0.0.1/8', '2001:db8::1'] })],
    [
      'domains with ports',
      np({ egress: [{ ...allow, protocol: 'TCP', destination: { domains: ['*.a.example'], ports: [443] } }] }),
    ],
    ['null members', np({ order: null, ingress: null } as never)],
    [
      'a service source with destination ports',
      np({
        ingress: [{ ...allow, protocol: 'TCP', source: { services: { name: 'db' } }, destination: { ports: [1] } }],
      }),
    ],
    ['global() alone', gnp({ ingress: [{ ...allow, source: { namespaceSelector: 'global( )' } }] })],
    ['the built-in tier as it is', make('Tier', { order: 1_000_000, defaultAction: 'Deny' }, { name: 'default' })],
  ])('%s', (_, resource) => {
    expect(rulesOf(resource)).toEqual([])
  })
})

describe('defaults', () => {
  const specOf = (resource: Resource) => completeResource(resource).spec as Record<string, unknown>

  test.each([
    [[], [], ['Ingress']],
    [[allow], [], ['Ingress']],
    [[], [allow], ['Egress']],
    [[allow], [allow], ['Ingress', 'Egress']],
  ])('ingress %j and egress %j make types %j', (ingress, egress, types) => {
    expect(specOf(np({ ingress, egress }))).toMatchObject({ types, tier: 'default' })
  })

  test('types given are kept, and the tier is a label too', () => {
    const complete = completeResource(gnp({ tier: 'security', types: ['Egress'] }))
    expect(complete.spec).toMatchObject({ types: ['Egress'] })
    expect(complete.metadata.labels).toEqual({ 'projectcalico.org/tier': 'security' })
  })

  test('an alert runs every five minutes over the last ten, and its scalars become lists', () => {
    const scalar = alert({ aggregateBy: 'dest_name', metric: 'count', condition: 'gt' })
    expect(rulesOf(scalar)).toEqual(['warning aggregate-by-list spec.aggregateBy'])
    expect(specOf(scalar)).toMatchObject({
      type: 'RuleBased',
      period: '5m',
      lookback: '10m',
      aggregateBy: ['dest_name'],
      threshold: 0,
    })
  })

  test('a staged policy sets unless it says otherwise', () => {
    expect(specOf(make('StagedGlobalNetworkPolicy', {}))).toMatchObject({ stagedAction: 'Set', types: ['Ingress'] })
  })

  test('a Kubernetes policy governs egress when it has egress rules', () => {
    expect(specOf(k8s({ podSelector: {}, egress: [{}] }))).toMatchObject({ policyTypes: ['Ingress', 'Egress'] })
  })

  test('completing leaves the given resource as it was', () => {
    const given = np({ ingress: [allow] })
    const before = JSON.stringify(given)
    completeResource(given)
    expect(JSON.stringify(given)).toBe(before)
  })
})
