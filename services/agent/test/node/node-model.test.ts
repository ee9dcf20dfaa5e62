import { evaluate, formatTrace } from '@margay/schemas'
import { expect, test } from 'vitest'
import { createHostPlacements } from '../../src/node/host-endpoints.ts'
import { createNodeModel } from '../../src/node/node-model.ts'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

const addresses = new Map([['192.0.2.1', 'eth0']])

function harness() {
  const cluster = clusterOf(namespace('shop'), pod({ name: 'web', ips: ['10.0.0.1'] }))
  const hosts = createHostPlacements('node1', { model: cluster, addresses: () => addresses })
  return { cluster, model: createNodeModel('node1', { model: cluster, hosts, isHost: (ip) => addresses.has(ip) }) }
}
const packet = {
  sourceIp: '203.0.113.1',
  destinationIp: '192.0.2.1',
  protocol: 6,
  sourcePort: 40000,
  destinationPort: 80,
}

test('an address of the node belongs to the endpoint of its interface, which need not list it', () => {
  const { cluster, model } = harness()
  expect(evaluate(model, packet).ingress).toBeNull()
  const before = model.revision
  applyYaml(cluster, hostEndpoint({ name: 'all', interfaceName: '*', profiles: '[projectcalico-default-allow]' }))
  expect(model.revision).toBeGreaterThan(before)
  expect(evaluate(model, packet).ingress?.trace.map(formatTrace)).toEqual([
    '0|__PROFILE__|__PROFILE__.projectcalico-default-allow|allow|0',
  ])
  expect(model.identify('192.0.2.1', null)).toMatchObject({
    type: 'hep',
    namespace: '-',
    name: 'all',
    nameAggr: 'node1',
  })
  expect(evaluate(cluster, packet).ingress).toBeNull()
})

test('the node is known by its addresses without a Node resource: what it sends to its pods is not judged', () => {
  const { model } = harness()
  expect(evaluate(model, { ...packet, sourceIp: '192.0.2.1', destinationIp: '10.0.0.1' }).ingress).toEqual({
    verdict: 'allow',
    trace: [],
    exempt: 'own-host',
  })
  expect(model.identify('10.0.0.1', null)).toMatchObject({ type: 'wep', name: 'web' })
})
