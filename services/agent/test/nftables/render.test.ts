import { expect, test } from 'vitest'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'
import { rendering } from './rendering.ts'

const base = `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.guard}
spec:
  tier: security
  order: 1
  types: [Ingress, Egress]
  ingress:
    - action: Deny
      protocol: TCP
      destination: {ports: [81]}
    - action: Pass
  egress:
    - action: Deny
      destination: {nets: [192.0.2.0/24, 198.51.100.0/24]}
    - action: Pass
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: app == 'client'}
      destination: {ports: [80, '8000:8010', metrics]}
---
`
const pods =
  pod({
    name: 'web',
    ips: ['10.0.0.1', 'fd00::1'],
    labels: '{app: web}',
    ports: '[{name: metrics, containerPort: 9090, protocol: TCP}]',
  }) +
  pod({ name: 'client', ips: ['10.0.0.2'], labels: '{app: client}' }) +
  pod({ name: 'far', ips: ['10.0.1.1'], labels: '{app: client}', node: 'node2' })

const rendered = (...texts: string[]) => rendering(clusterOf(namespace('shop'), pods, ...texts))

test('two tiers become the rules of the golden file', async () => {
  await expect(rendered(base).script()).toMatchFileSnapshot('two-tiers.nft')
})

test('rendering twice gives the same text, and every log prefix stands for a rule', () => {
  const { plan, hits, script } = rendered(base)
  expect(rendered(base).script()).toEqual(script())
  const prefixes = [...plan.chains.values()]
    .flatMap(({ rules }) => rules.map((rule) => rule.join(' ')))
    .flatMap((rule) => /log prefix "([^"]+)" group [12]/.exec(rule)?.[1] ?? [])
  expect(prefixes.length).toBeGreaterThan(5)
  expect(hits.size).toBe(new Set(prefixes).size)
  for (const prefix of prefixes) expect(hits.get(prefix)).not.toBeNull()
})

test('endpoints with the same policies share their chains', () => {
  const more = pod({ name: 'client2', ips: ['10.0.0.3'], labels: '{app: client}' })
  const count = (text: string) => rendered(base, text).plan.chains.size
  expect(count(more)).toBe(count(''))
})

test('staged policies are not rendered, and a tier of staged policies only never denies', () => {
  const staged = `
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: deny-all}
spec: {tier: default, selector: all(), types: [Ingress, Egress]}
`
  expect(rendered(staged).script()).toEqual(rendered().script())
})

test('a rule with domains asks a set of each address family that others fill', () => {
  const domains = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: out}
spec:
  selector: app == 'web'
  types: [Egress]
  egress: [{action: Allow, destination: {domains: ['*.example.com', a.example.org]}}]
`
  const { plan, texts } = rendered(domains)
  const sets = [...plan.sets].filter(([, { set }]) => set.domains !== null)
  expect(sets.map(([name, { set }]) => [name.slice(0, 3), set.spec, set.domains, set.elements.size])).toEqual([
    ['d4-', 'type ipv4_addr;', ['*.example.com', 'a.example.org'], 0],
    ['d6-', 'type ipv6_addr;', ['*.example.com', 'a.example.org'], 0],
  ])
  const rules = Object.values(texts()).flat()
  for (const [name] of sets)
    expect(
      rules.filter((rule) => rule.includes(`daddr @${name}`) && rule.includes('APE0|default|gnp|-|out')),
    ).toHaveLength(1)
})

test('a packet to a port that no rule of a policy names passes it by with one look', () => {
  const { texts } = rendered(base)
  const classes = Object.entries(texts()).filter(([name]) => name.startsWith('to-'))
  const calls = classes.flatMap(([, rules]) => rules.filter((rule) => rule.includes('jump po-in-')))
  // The guard of `web` cannot be asked: one of its ports is known by a name.
  expect(calls.filter((rule) => rule.startsWith('jump'))).not.toEqual([])
  const guarded = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: guarded}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [80, 443]}}
    - {action: Allow, protocol: UDP, destination: {ports: ['8000:8010']}}
`
  const { texts: more, plan } = rendered(guarded)
  const [call] = Object.values(more()).flatMap((rules) => rules.filter((rule) => rule.includes('jump po-in-')))
  const [, set] = /^th dport @(p-[0-9a-f]+) jump po-in-/.exec(call ?? '') ?? []
  expect([...(plan.sets.get(set as string)?.set.elements.keys() ?? [])]).toEqual(['80', '443', '8000-8010'])
})

test('only rules for packets that may go on without an answer are there twice; those of IPv6 have a chain of their own', () => {
  const policy = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: both}
spec:
  selector: app == 'client'
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [80]}}
    - {action: Allow, protocol: UDP, source: {selector: app == 'web'}, destination: {ports: [81]}}
    - {action: Deny, source: {selector: app == 'web'}}
`
  const chains = Object.entries(rendered(policy).texts()).filter(([name]) => name.startsWith('po-in-'))
  const name = chains.map(([n]) => n).sort()[0] as string
  const of = (suffix: string) =>
    chains
      .find(([n]) => n === `${name}${suffix}`)?.[1]
      .map((rule) => rule.replace(/ log prefix .* snaplen 80/, ' LOG').replace(/@\w+-[0-9a-f]+/, '@SET'))
  expect(of('')).toEqual([
    `meta nfproto ipv6 goto ${name}-6`,
    'meta l4proto 6 th dport 80 ip saddr @SET LOG meta mark set meta mark | 65536 return',
    'meta l4proto 17 th dport 81 ip saddr @SET ct original packets 1 LOG meta mark set meta mark | 65536 return',
    'meta l4proto 17 th dport 81 ip saddr @SET meta mark set meta mark | 65536 return',
    'ip saddr @SET LOG drop',
  ])
  expect(of('-6')?.[0]).toBe('meta l4proto 6 th dport 80 ip6 saddr @SET LOG meta mark set meta mark | 65536 return')
})

test('nothing that a user writes reaches nft as text', () => {
  const { plan } = rendered(base)
  for (const [name, { rules }] of plan.chains) {
    expect(name).toMatch(/^[a-z0-9-]+$/)
    for (const rule of rules.flat()) {
      expect(rule).not.toMatch(/[\n;]/)
      for (const [, prefix] of rule.matchAll(/prefix "([^"]*)"/g)) expect(prefix).toMatch(/^[A-Za-z0-9_.|-]{1,127}$/)
    }
  }
})

const hosts = `${hostEndpoint({ name: 'all', interfaceName: '*' })}${hostEndpoint({ name: 'wire', interfaceName: 'eth0' })}
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: kubelet}
spec:
  selector: has(host)
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [10250]}}]
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  defaultEndpointToHostAction: Return
  failsafeInboundHostPorts: [{protocol: tcp, port: 22}, {protocol: tcp, port: 6443}, {protocol: udp, port: 68, net: 192.0.2.0/24}]
  failsafeOutboundHostPorts: [{protocol: udp, port: 53, net: '2001:db8::/64'}]
`

const addresses = new Map([
  ['192.0.2.1', 'eth0'],
  ['2001:db8::1', 'eth0'],
  ['198.51.100.1', 'eth1'],
])

test('host endpoints become the rules of the golden file, beside those of workloads', async () => {
  const model = clusterOf(namespace('shop'), pods, hosts)
  await expect(rendering(model, addresses).script()).toMatchFileSnapshot('host-endpoints.nft')
})

test('a node whose host endpoints go has the rules that it had before them', () => {
  const model = clusterOf(namespace('shop'), pods, base)
  const { script, update } = rendering(model)
  const before = script()
  for (const name of ['all', 'wire'])
    applyYaml(model, hostEndpoint({ name, interfaceName: name === 'all' ? '*' : 'eth0' }))
  update(addresses)
  expect(script()).toContain('add chain inet margay output ')
  for (const name of ['all', 'wire']) model.remove(`hostendpoints.projectcalico.org/-/${name}`)
  update(addresses)
  expect(script().split('\n').sort()).toEqual(before.split('\n').sort())
})
