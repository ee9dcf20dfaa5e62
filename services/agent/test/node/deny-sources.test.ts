import { expect, test } from 'vitest'
import { denySources } from '../../src/node/deny-sources.ts'
import { clusterOf } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

const policy = (name: string, order: number, rules: string, kind = 'GlobalNetworkPolicy') => `
apiVersion: projectcalico.org/v3
kind: ${kind}
metadata: {name: ${name}}
spec:
  selector: host == 'yes'
  order: ${order}
  types: [Ingress]
  doNotTrack: true
  applyOnForward: true
  ingress: ${rules}
---
`
const sets = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: blocked, labels: {blocked: 'yes'}}
spec: {nets: [192.0.2.0/24, 'fd00::/8']}
---
`

function sourcesOf(...policies: string[]) {
  const model = clusterOf(hostEndpoint({ name: 'host', interfaceName: 'eth0' }), sets, ...policies)
  const endpoint = model.endpoint('hep:host')
  if (endpoint === null) throw new Error('no host endpoint')
  return denySources(model.governing(endpoint, 'ingress', 'untracked'), model)
}

const members = (...policies: string[]) => [...(sourcesOf(...policies)?.members ?? [])].sort()

test('the list is what Deny rules name by source alone, from the first policy on', () => {
  const first = policy('a', 1, '[{action: Deny, source: {nets: [198.51.100.0/24]}}]')
  const second = policy('b', 2, "[{action: Deny, source: {selector: blocked == 'yes'}}]")
  expect(members(first, second)).toEqual(['192.0.2.0/24', '198.51.100.0/24', 'fd00::/8'])
  expect(sourcesOf(first, second)?.sets.size).toBe(1)
  expect(members(policy('a', 1, "[{action: Deny, ipVersion: 4, source: {selector: blocked == 'yes'}}]"))).toEqual([
    '192.0.2.0/24',
  ])
  expect(sourcesOf()).toBeNull()
})

test.each([
  ['an Allow', '{action: Allow, source: {nets: [192.0.2.1/32]}}'],
  ['a Log', '{action: Log}'],
  ['a Deny of everything', '{action: Deny}'],
  ['a protocol', '{action: Deny, protocol: TCP, source: {nets: [192.0.2.1/32]}}'],
  ['a port', '{action: Deny, protocol: TCP, source: {nets: [192.0.2.1/32], ports: [1]}}'],
  ['a destination', '{action: Deny, source: {nets: [192.0.2.1/32]}, destination: {nets: [192.0.2.2/32]}}'],
  ['an exception', '{action: Deny, source: {nets: [192.0.2.0/24], notNets: [192.0.2.2/32]}}'],
  ['a set within blocks', "{action: Deny, source: {nets: [192.0.2.0/24], selector: blocked == 'yes'}}"],
])('it ends at %s', (_, rule) => {
  const deny = '{action: Deny, source: {nets: [198.51.100.0/24]}}'
  const later = policy('z', 9, '[{action: Deny, source: {nets: [203.0.113.0/24]}}]')
  expect(
    members(policy('a', 1, `[${deny}, ${rule}, {action: Deny, source: {nets: [203.0.113.1/32]}}]`), later),
  ).toEqual(['198.51.100.0/24'])
})

test('staged policy is no part of it', () => {
  const rules = '[{action: Allow}]'
  const staged = policy('a', 1, rules, 'StagedGlobalNetworkPolicy')
  expect(members(staged, policy('b', 2, '[{action: Deny, source: {nets: [203.0.113.0/24]}}]'))).toEqual([
    '203.0.113.0/24',
  ])
})
