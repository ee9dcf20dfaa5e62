import fc from 'fast-check'
import type { Resource } from '../../src/resources/resource.ts'
import { aHost, aNamespace, aNetworkSet, aNode, anObject, aPod, aService, aTier, gnp, knp, np } from './make.ts'

/** Resources of a small cluster that come, change and go; few names, so that changes meet. */
const label = fc.constantFrom({}, { app: 'a' }, { app: 'b' }, { app: 'a', role: 'x' })
const name = fc.constantFrom('a', 'bb', 'ccc')
const selector = fc.constantFrom(
  '',
  "app == 'a'",
  "app != 'a'",
  "has(role) || app in {'b'}",
  '!has(app)',
  "role == 'x'",
)
const spaces = fc.constantFrom(undefined, 'all()', 'global()', "tier == 'x'", "tier != 'x'")
const ports = fc.constantFrom<(string | number)[] | undefined>(undefined, [80], ['http'], [53, 'dns'])
const peer = fc.oneof(
  fc.record({ selector, namespaceSelector: spaces, ports }, { requiredKeys: ['selector'] }),
  fc.record({ nets: fc.constantFrom(['10.0.0.0/24'], ['10.0.9.7']) }),
  fc.record({ notSelector: selector }),
  fc.constant({ services: { name: 'a', namespace: 'ns' } }),
)
const rule = fc.record({
  action: fc.constantFrom('Allow', 'Deny', 'Pass'),
  protocol: fc.constantFrom('TCP', 'UDP'),
  destination: peer,
})
const policy = fc.record({
  order: fc.constantFrom(1, 2),
  selector,
  egress: fc.array(rule, { maxLength: 2 }),
  tier: fc.constantFrom('default', 't'),
})
const containerPorts = fc.constantFrom<Record<string, unknown>[]>(
  [],
  [{ name: 'http', containerPort: 8080 }],
  [{ name: 'dns', containerPort: 53, protocol: 'UDP' }],
)
const nets = fc.constantFrom(
  ['10.0.9.0/24'],
  ['10.0.9.7'],
  ['10.0.0.0/16', '10.0.0.10'],
  ['10.0.0.10', '2001:db8::/32'],
  ['2001:db8:1::/48', '2001:DB8::1'],
)
const address = fc.constantFrom('10.0.0.10', '10.0.0.11', '10.0.9.8')
const calico = 'projectcalico.org/v3'

const resource: fc.Arbitrary<Resource> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(name, address, label, containerPorts)
      .map(([n, ip, labels, list]) => aPod(`ns/${n}`, ip, labels, { ports: list })),
  },
  fc.tuple(name, fc.constantFrom('eth0', 'net1'), address, label).map(([pod, endpoint, ip, labels]) =>
    anObject(
      calico,
      'WorkloadEndpoint',
      `node1-k8s-${pod}-${endpoint}`,
      {
        spec: {
          node: 'node1',
          pod,
          endpoint,
          interfaceName: `cali${pod}${endpoint}`,
          ipNetworks: [`${ip}/32`],
          profiles: ['kns.ns', 'extra'],
        },
      },
      { namespace: 'ns', labels },
    ),
  ),
  fc.tuple(name, address, label).map(([n, ip, labels]) => aHost(n, ip, {}, labels)),
  fc
    .tuple(name, fc.constantFrom('ns', 'other'), nets)
    .map(([n, space, list]) => aNetworkSet(`${space}/${n}`, { nets: list }, { app: 'a' })),
  fc
    .tuple(name, label, nets, fc.array(fc.constantFrom('*.x.com', 'y.com')))
    .map(([n, labels, list, allowedEgressDomains]) => aNetworkSet(n, { nets: list, allowedEgressDomains }, labels)),
  fc.constantFrom('x', 'y').map((tier) => aNamespace('ns', { tier })),
  fc.constantFrom('x', 'y').map((tier) => aNamespace('other', { tier })),
  fc
    .tuple(label, fc.array(rule, { maxLength: 1 }))
    .map(([labelsToApply, egress]) => anObject(calico, 'Profile', 'extra', { spec: { labelsToApply, egress } })),
  fc
    .tuple(fc.constantFrom(1, 2_000_000), fc.constantFrom('Deny', 'Pass'))
    .map(([order, action]) => aTier('t', order, action)),
  { weight: 3, arbitrary: fc.tuple(name, policy).map(([n, spec]) => gnp(n, spec)) },
  fc
    .tuple(name, policy, fc.constantFrom('Set', 'Delete'))
    .map(([n, spec, stagedAction]) => gnp(n, { ...spec, stagedAction }, 'StagedGlobalNetworkPolicy')),
  fc.tuple(name, policy, fc.constantFrom('doNotTrack', 'preDNAT')).map(([n, spec, stage]) => {
    const { egress, ...rest } = spec
    const rules = egress.map(({ destination, ...more }) => ({ ...more, source: destination }))
    return gnp(n, { ...rest, ingress: rules, applyOnForward: true, [stage]: true })
  }),
  fc.tuple(name, policy).map(([n, spec]) => np(`ns/${n}`, spec)),
  name.map((n) =>
    knp(`ns/${n}`, {
      podSelector: { matchLabels: { app: 'a' } },
      egress: [{ to: [{ namespaceSelector: { matchLabels: { tier: 'x' } } }] }],
    }),
  ),
  fc.constantFrom<number | string>(8080, 'http').map((targetPort) =>
    aService('ns/a', {
      clusterIP: '10.96.0.1',
      selector: { app: 'a' },
      ports: [{ port: 80, targetPort, nodePort: 30080 }],
    }),
  ),
  fc
    .tuple(name, fc.subarray(['10.0.0.10', '10.0.0.11']))
    .map(([n, addresses]) =>
      anObject(
        'discovery.k8s.io/v1',
        'EndpointSlice',
        n,
        { addressType: 'IPv4', endpoints: [{ addresses }], ports: [{ port: 8080, protocol: 'TCP' }] },
        { namespace: 'ns', labels: { 'kubernetes.io/service-name': 'a' } },
      ),
    ),
  fc
    .subarray(['10.0.0.10', '10.0.0.11'])
    .map((ips) =>
      anObject(
        'v1',
        'Endpoints',
        'a',
        { subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 8080 }] }] },
        { namespace: 'ns' },
      ),
    ),
  fc.constantFrom('172.20.0.1', '172.20.0.2').map((ip) => aNode('node1', ip)),
)

/** A resource that comes or changes, or one of the same name that goes. */
export interface Change {
  readonly resource: Resource
  readonly removed: boolean
}

/** Any change of the small cluster; three of four are no removals. */
export const anyChange: fc.Arbitrary<Change> = fc.record({
  resource,
  removed: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
})
