import { expect, test } from 'vitest'
import { createHostPlacements, type HostPlacement, placeHosts } from '../../src/node/host-endpoints.ts'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

const addresses = new Map([
  ['127.0.0.1', 'lo'],
  ['::1', 'lo'],
  ['192.0.2.1', 'eth0'],
  ['2001:db8::1', 'eth0'],
  ['198.51.100.1', 'eth1'],
  ['169.254.1.1', 'cali1'],
])

const place = (...texts: string[]) => placeHosts(clusterOf(...texts).endpoints(), addresses)
const short = ({ named, rest, owners, unplaced }: HostPlacement) => ({
  named: Object.fromEntries([...named].map(([name, endpoint]) => [name, endpoint.name])),
  rest: rest?.name ?? null,
  owners: Object.fromEntries([...owners].map(([ip, endpoint]) => [ip, endpoint.name])),
  unplaced: unplaced.map(({ name }) => name),
})

test('an endpoint owns the addresses of its interface, and that of all interfaces the rest but loopback', () => {
  const hosts = [
    hostEndpoint({ name: 'all', interfaceName: '*' }),
    hostEndpoint({ name: 'wire', ips: ['2001:DB8:0::1'] }),
    namespace('shop'),
    pod({ name: 'web', ips: ['10.0.0.1'] }),
  ]
  expect(short(place(...hosts))).toEqual({
    named: { eth0: 'wire' },
    rest: 'all',
    owners: { '192.0.2.1': 'wire', '2001:db8::1': 'wire', '198.51.100.1': 'all', '169.254.1.1': 'all' },
    unplaced: [],
  })
})

test('what cannot be guarded is told: workloads, loopback, unknown addresses, and an interface that has an endpoint', () => {
  const hosts = [
    hostEndpoint({ name: 'a', interfaceName: 'eth1' }),
    hostEndpoint({ name: 'b', interfaceName: 'eth1' }),
    hostEndpoint({ name: 'c', ips: ['169.254.1.1'] }),
    hostEndpoint({ name: 'd', interfaceName: 'lo' }),
    hostEndpoint({ name: 'e', ips: ['203.0.113.9'] }),
    hostEndpoint({ name: 'f', interfaceName: '*' }),
    hostEndpoint({ name: 'g', interfaceName: '*' }),
    // An interface that is not there yet is guarded from its first packet on.
    hostEndpoint({ name: 'h', interfaceName: 'eth7' }),
  ]
  const { named, rest, unplaced } = short(place(...hosts))
  expect({ named, rest, unplaced }).toEqual({
    named: { eth1: 'a', eth7: 'h' },
    rest: 'f',
    unplaced: ['b', 'c', 'd', 'e', 'g'],
  })
})

test('the placement follows the model and the addresses; its extent only what guards the host', () => {
  const model = clusterOf(hostEndpoint({ name: 'all', interfaceName: '*' }))
  let present = addresses
  const hosts = createHostPlacements('node1', { model, addresses: () => present })
  const first = hosts()
  expect(hosts()).toBe(first)
  applyYaml(model, hostEndpoint({ name: 'far', node: 'node2', interfaceName: 'eth0' }))
  expect(short(hosts())).toEqual(short(first))
  present = new Map([...addresses, ['fe80::7', 'cali7']])
  expect(hosts().owners.get('fe80::7')?.name).toBe('all')
  expect(hosts().extent).toBe(first.extent)
  present = new Map([...addresses, ['192.0.2.2', 'eth0']])
  expect(hosts().extent).not.toBe(first.extent)
})
