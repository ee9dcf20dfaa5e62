import { expect, test } from 'vitest'
import { defaultRenderOptions, render } from '../../src/nftables/render.ts'
import { emptyKernel, kernelOf, transactions } from '../../src/nftables/transaction.ts'
import { placeHosts } from '../../src/node/host-endpoints.ts'
import { clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

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

function rendered(...texts: string[]) {
  return renderedWith(new Map(), ...texts)
}

/** With the addresses of the node, each with its interface. */
function renderedWith(addresses: ReadonlyMap<string, string>, ...texts: string[]) {
  const model = clusterOf(namespace('shop'), pods, ...texts)
  const own = [...model.endpoints()].filter((endpoint) => endpoint.node === 'node1')
  const endpoints = own
    .filter((endpoint) => endpoint.kind === 'wep')
    .map((endpoint) => ({ endpoint, interfaceName: `cali-${endpoint.name.split('/').at(-1)}`.slice(0, 15) }))
  return render({ node: 'node1', model, endpoints, hosts: placeHosts(own, addresses), options: defaultRenderOptions })
}

test('two tiers become the rules of the golden file', async () => {
  const scripts = transactions(emptyKernel, rendered(base).ruleset)
  await expect(scripts.join('\n')).toMatchFileSnapshot('two-tiers.nft')
})

test('rendering twice gives the same text, and every log prefix stands for a rule', () => {
  const { ruleset, hits } = rendered(base)
  expect(rendered(base).ruleset).toEqual(ruleset)
  const prefixes = [...ruleset.chains.values()]
    .flatMap(({ rules }) => rules.map((rule) => rule.join(' ')))
    .flatMap((rule) => /log prefix "([^"]+)" group [12]/.exec(rule)?.[1] ?? [])
  expect(prefixes.length).toBeGreaterThan(5)
  expect(new Set(prefixes)).toEqual(new Set(hits.keys()))
})

test('endpoints with the same policies share their chains', () => {
  const more = pod({ name: 'client2', ips: ['10.0.0.3'], labels: '{app: client}' })
  const count = (text: string) => rendered(base, text).ruleset.chains.size
  expect(count(more)).toBe(count(''))
})

test('staged policies are not rendered, and a tier of staged policies only never denies', () => {
  const staged = `
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: deny-all}
spec: {tier: default, selector: all(), types: [Ingress, Egress]}
`
  expect(rendered(staged).ruleset).toEqual(rendered().ruleset)
})

test('a rule with domains matches nothing and is counted', () => {
  const domains = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: out}
spec:
  selector: app == 'web'
  types: [Egress]
  egress: [{action: Allow, destination: {domains: ['*.example.com']}}]
`
  const { ruleset, domainRules } = rendered(domains)
  expect(domainRules).toBe(1)
  const texts = [...ruleset.chains.values()].flatMap(({ rules }) => rules.flat())
  expect(texts.filter((rule) => rule.includes('APE0|default|gnp|-|out'))).toEqual([])
})

test('nothing that a user writes reaches nft as text', () => {
  const { ruleset } = rendered(base)
  for (const [name, { rules }] of ruleset.chains) {
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

test('host endpoints become the rules of the golden file, beside those of workloads', async () => {
  const addresses = new Map([
    ['192.0.2.1', 'eth0'],
    ['2001:db8::1', 'eth0'],
    ['198.51.100.1', 'eth1'],
  ])
  const scripts = transactions(emptyKernel, renderedWith(addresses, hosts).ruleset)
  await expect(scripts.join('\n')).toMatchFileSnapshot('host-endpoints.nft')
})

test('a node whose host endpoints go has the rules that it had before them', () => {
  const before = rendered().ruleset
  const between = rendered(hostEndpoint({ name: 'all', interfaceName: '*' })).ruleset
  const changes = transactions(kernelOf(between), before).join('\n')
  expect(before.chains.has('output')).toBe(false)
  expect(changes).toContain('delete chain inet margay output\n')
  // The kernel does not give up a chain that an element of a map still leads to.
  expect(changes.indexOf('flush map inet margay to-hosts')).toBeLessThan(
    changes.indexOf('delete chain inet margay to-'),
  )
})
