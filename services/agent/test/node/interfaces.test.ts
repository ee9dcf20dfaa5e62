import { expect, test } from 'vitest'
import { hostRoutes, ownAddresses } from '../../src/node/interfaces.ts'

test('only routes to single addresses say which interface leads to a pod', () => {
  const routes = [
    { dst: 'default', dev: 'eth0' },
    { dst: '10.1.0.0/24', dev: 'eth0' },
    { dst: '10.1.0.5', dev: 'cali1' },
    { dst: 'fd00::5', dev: 'cali1' },
    { dst: '10.1.0.6' },
  ]
  expect([...hostRoutes(routes)]).toEqual([
    ['10.1.0.5', 'cali1'],
    ['fd00::5', 'cali1'],
  ])
})

test('addresses of the node are read with their interfaces', () => {
  const links = [
    { ifname: 'lo', addr_info: [{ local: '127.0.0.1' }] },
    { ifname: 'eth0', addr_info: [{ local: '192.0.2.1' }, { local: 'fe80::1' }, {}] },
    { ifname: 'eth1' },
  ]
  expect([...ownAddresses(links)]).toEqual([
    ['127.0.0.1', 'lo'],
    ['192.0.2.1', 'eth0'],
    ['fe80::1', 'eth0'],
  ])
})
