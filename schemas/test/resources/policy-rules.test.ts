import { describe, expect, test } from 'vitest'
import { validateResource } from '../../src/resources/kinds.ts'
import type { Resource } from '../../src/resources/resource.ts'

const calico = 'projectcalico.org/v3'
const make = (apiVersion: string, kind: string, spec: unknown, metadata: object = {}) =>
  ({ apiVersion, kind, metadata: { name: 'a', ...metadata }, spec }) as Resource
const np = (ingress: object) => make(calico, 'NetworkPolicy', { ingress: [ingress] }, { namespace: 'shop' })
const http = (http: object, rule: object = {}) => np({ action: 'Allow', http, ...rule })
const profile = (spec: object) => make(calico, 'Profile', spec)
const cluster = (kind: string, rule: object, more: object = {}) =>
  make(
    kind === 'ClusterNetworkPolicy' ? 'policy.networking.k8s.io/v1alpha2' : 'policy.networking.k8s.io/v1alpha1',
    kind,
    {
      ...(kind === 'ClusterNetworkPolicy' && { tier: 'Admin' }),
      ...(kind !== 'BaselineAdminNetworkPolicy' && { priority: 1 }),
      subject: { namespaces: {} },
      ...more,
      egress: [{ action: kind === 'ClusterNetworkPolicy' ? 'Accept' : 'Allow', to: [{ namespaces: {} }], ...rule }],
    },
    kind === 'BaselineAdminNetworkPolicy' ? { name: 'default' } : {},
  )
const kcnp = (rule: object) => cluster('ClusterNetworkPolicy', rule)
const anp = (rule: object) => cluster('AdminNetworkPolicy', rule)
const knp = (port: object) =>
  make('networking.k8s.io/v1', 'NetworkPolicy', { podSelector: {}, ingress: [{ ports: [port] }] }, { namespace: 'a' })
const problems = (resource: Resource) =>
  validateResource(resource).map(({ severity, rule, path }) => `${severity} ${rule} ${path}`)
const at = 'spec.ingress[0].http'
const to = 'spec.egress[0]'

describe('what is refused in rules, and why', () => {
  test.each<[string, Resource, string]>([
    ['a path that is neither', http({ paths: [{}] }), `error http-path ${at}.paths[0]`],
    ['a path that is both', http({ paths: [{ exact: '/a', prefix: '/a' }] }), `error http-path ${at}.paths[0]`],
    ['a path that no request can have', http({ paths: [{ exact: '/%00' }] }), `error http-path ${at}.paths[0]`],
    ['a path without slash', http({ paths: [{ exact: 'a' }] }), `error pattern ${at}.paths[0].exact`],
    ['a path with a query', http({ paths: [{ prefix: '/a?b' }] }), `error pattern ${at}.paths[0].prefix`],
    [
      'a path that is too long',
      http({ paths: [{ exact: `/${'a'.repeat(1024)}` }] }),
      `error too-long ${at}.paths[0].exact`,
    ],
    ['a method given twice', http({ methods: ['GET', 'GET'] }), `error unique ${at}.methods[1]`],
    [
      'more than 20 methods',
      http({ methods: Array.from({ length: 21 }, (_, i) => `M${i}`) }),
      `error too-many ${at}.methods`,
    ],
    ['more than 20 paths', http({ paths: Array(21).fill({ exact: '/a' }) }), `error too-many ${at}.paths`],
    [
      'an unknown operator',
      http({ headers: [{ header: 'A', operator: 'Equals', values: ['a'] }] }),
      `error one-of ${at}.headers[0].operator`,
    ],
    [
      'In without values',
      http({ headers: [{ header: 'A', operator: 'In' }] }),
      `error http-header ${at}.headers[0].values`,
    ],
    [
      'Exists with values',
      http({ headers: [{ header: 'A', operator: 'Exists', values: ['a'] }] }),
      `error http-header ${at}.headers[0].values`,
    ],
    [
      'a pattern that is none',
      http({ headers: [{ header: 'A', operator: 'MatchesRegex', values: ['('] }] }),
      `error http-header ${at}.headers[0].values[0]`,
    ],
    [
      'a header name with a space',
      http({ headers: [{ header: 'A b', operator: 'Exists' }] }),
      `error http-header ${at}.headers[0].header`,
    ],
    ['http over UDP', http({ methods: ['GET'] }, { protocol: 'UDP' }), `error http-needs-tcp ${at}`],
    ['http with Pass', http({ methods: ['GET'] }, { action: 'Pass' }), `error http-needs-allow ${at}`],
    [
      'a numeric port without protocol in a profile',
      profile({ egress: [{ action: 'Allow', destination: { ports: [80] } }] }),
      `error port-needs-protocol ${to}.destination.ports[0]`,
    ],
    [
      'domains in a profile’s Deny',
      profile({ egress: [{ action: 'Deny', destination: { domains: ['a.example'] } }] }),
      `error domains-place ${to}.destination.domains`,
    ],
    [
      'a quoted number as the port of a Kubernetes policy',
      knp({ port: '80' }),
      'error port spec.ingress[0].ports[0].port',
    ],
    ['a port name with a space', knp({ port: 'a b' }), 'error port spec.ingress[0].ports[0].port'],
    ['Allow in a ClusterNetworkPolicy', kcnp({ action: 'Allow' }), `error one-of ${to}.action`],
    ['Accept in an AdminNetworkPolicy', anp({ action: 'Accept' }), `error one-of ${to}.action`],
    ['Pass in a baseline', cluster('BaselineAdminNetworkPolicy', { action: 'Pass' }), `error one-of ${to}.action`],
    ['a peer that is nothing', kcnp({ to: [{}] }), `error peer-kind ${to}.to[0]`],
    ['a peer that is two things', kcnp({ to: [{ namespaces: {}, pods: {} }] }), `error peer-kind ${to}.to[0]`],
    ['a protocol that is two', kcnp({ protocols: [{ tcp: {}, udp: {} }] }), `error protocol-kind ${to}.protocols[0]`],
    [
      'a port that is neither number nor range',
      kcnp({ protocols: [{ tcp: { destinationPort: {} } }] }),
      `error port ${to}.protocols[0].tcp.destinationPort`,
    ],
    [
      'a range that ends before it begins',
      kcnp({ protocols: [{ tcp: { destinationPort: { range: { start: 9, end: 8 } } } }] }),
      `error port ${to}.protocols[0].tcp.destinationPort.range.end`,
    ],
    ['an older port that is nothing', anp({ ports: [{}] }), `error port ${to}.ports[0]`],
    [
      'an older range upside down',
      anp({ ports: [{ portRange: { start: 9, end: 8 } }] }),
      `error port ${to}.ports[0].portRange.end`,
    ],
    ['peers by node', anp({ to: [{ nodes: {} }] }), `warning unsupported-peer ${to}.to[0].nodes`],
    [
      'names to deny',
      kcnp({ action: 'Deny', to: [{ domainNames: ['a.example'] }] }),
      `warning unsupported-peer ${to}.to[0].domainNames`,
    ],
  ])('%s', (_, resource, problem) => {
    expect(problems(resource)).toContain(problem)
  })

  test('what becomes of a rule that cannot be said is told', () => {
    const message = (action: string) => validateResource(kcnp({ action, to: [{ nodes: {} }] }))[0]?.message
    expect(message('Deny')).toBe('peers by node are not supported, so the rule denies everything')
    expect(message('Accept')).toBe('peers by node are not supported, so the rule is left out')
  })
})

describe('what is accepted in rules', () => {
  test.each<[string, Resource]>([
    [
      'requests in every way',
      http({
        methods: ['GET'],
        paths: [{ exact: '/a' }, { prefix: '/b/' }],
        headers: [
          { header: 'X-A', operator: 'Exists' },
          { header: 'X-B', operator: 'MatchesRegex', values: ['(?i)^a'] },
        ],
      }),
    ],
    ['names and networks to allow', kcnp({ to: [{ domainNames: ['*.a.example'] }, { networks: ['10.0.0.0/8'] }] })],
    ['a named port', kcnp({ protocols: [{ destinationNamedPort: 'http' }] })],
    ['ports of the older generation', anp({ ports: [{ portNumber: { port: 80 } }, { namedPort: 'http' }] })],
    [
      'a staged deletion whose pod selector is empty',
      make(calico, 'StagedKubernetesNetworkPolicy', { stagedAction: 'Delete', podSelector: {} }, { namespace: 'a' }),
    ],
  ])('%s', (_, resource) => {
    expect(problems(resource)).toEqual([])
  })
})
