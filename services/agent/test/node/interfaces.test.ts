import { expect, test } from 'vitest'
import { hostRoutes } from '../../src/node/interfaces.ts'

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
