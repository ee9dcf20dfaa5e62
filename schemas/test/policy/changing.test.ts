import fc from 'fast-check'
import { expect, test } from 'vitest'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Packet } from '../../src/policy/model.ts'
import { keyOf } from '../../src/resources/kinds.ts'
import type { Resource } from '../../src/resources/resource.ts'
import { aHost, aNamespace, aNode, anObject, aPod, aTier, clusterOf, gnp, np, tcp } from './make.ts'

const isNightly = process.env.MARGAY_NIGHTLY === '1'
const [web, api, far, node, outside] = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '172.20.0.1', '198.51.100.7']
const label = fc.constantFrom('web', 'api')
const selector = fc.constantFrom('all()', "app == 'web'", "app != 'web'", 'has(app)', "role == 'node'")
const rule = fc.record(
  {
    action: fc.constantFrom('Allow', 'Deny', 'Pass'),
    source: selector.map((text) => ({ selector: text })),
    destination: selector.map((text) => ({ selector: text })),
  },
  { requiredKeys: ['action'] },
)
const rules = fc.array(rule, { maxLength: 3 })
const spec = fc.record(
  {
    tier: fc.constantFrom('default', 'a', 'b'),
    order: fc.integer({ min: 1, max: 3 }),
    selector,
    ingress: rules,
    egress: rules,
    types: fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
  },
  { requiredKeys: ['selector'] },
)
const hostFlags = fc.constantFrom({}, {}, { applyOnForward: true }, { applyOnForward: true, doNotTrack: true })
const name = fc.constantFrom('p', 'q', 'r')
const policy: fc.Arbitrary<Resource> = fc.oneof(
  fc.tuple(name, spec, hostFlags).map(([of, given, flags]) => gnp(of, { ...given, ...flags })),
  fc.tuple(name, spec).map(([of, given]) => np(`shop/${of}`, given)),
  fc
    .tuple(name, spec, fc.constantFrom('Set', 'Learn', 'Ignore'))
    .map(([of, given, stagedAction]) => gnp(of, { ...given, stagedAction }, 'StagedGlobalNetworkPolicy')),
  name.map((of) => np(`shop/${of}`, { stagedAction: 'Delete' }, 'StagedNetworkPolicy')),
)
const other: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 3 }), fc.constantFrom('Deny', 'Pass'))
    .map(([of, order, action]) => aTier(of, order, action)),
  label.map((app) => aPod('shop/web', web, { app })),
  label.map((app) => aPod('shop/api', api, { app })),
  label.map((app) => aPod('dev/far', far, { app }, { node: 'node2' })),
  fc
    .constantFrom('*', 'eth0')
    .map((interfaceName) =>
      aHost('node1', node, { interfaceName, profiles: ['projectcalico-default-allow'] }, { role: 'node' }),
    ),
  fc
    .constantFrom('Drop', 'Return', 'Accept')
    .map((defaultEndpointToHostAction) =>
      anObject('projectcalico.org/v3', 'FelixConfiguration', 'default', { spec: { defaultEndpointToHostAction } }),
    ),
)
const change = fc.record({
  resource: fc.oneof({ arbitrary: policy, weight: 3 }, { arbitrary: other, weight: 2 }),
  isRemoval: fc.nat({ max: 3 }).map((n) => n === 0),
})
const packets: readonly Packet[] = [
  tcp(web, api, 80),
  tcp(web, far, 80),
  tcp(far, web, 80),
  tcp(web, outside, 80),
  tcp(outside, web, 80, { addressed: { ip: node, port: 30080 } }),
  tcp(outside, node, 80),
  tcp(node, outside, 80),
  tcp(web, node, 80),
]

test('however it came to be, a cluster is judged as one that is made afresh', () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const base = [aNamespace('shop'), aNamespace('dev'), aNode('node1', node)]
      const present = new Map<string, Resource>()
      const cluster = clusterOf(...base)
      for (const { resource, isRemoval } of changes) {
        const key = keyOf(resource)
        if (isRemoval) {
          present.delete(key)
          cluster.remove(key)
        } else {
          present.set(key, resource)
          cluster.apply(resource)
        }
        const fresh = clusterOf(...base, ...present.values())
        for (const packet of packets) expect(evaluate(cluster, packet)).toEqual(evaluate(fresh, packet))
      }
    }),
    { numRuns: isNightly ? 10_000 : 40 },
  )
}, 120_000)
