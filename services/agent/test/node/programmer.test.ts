import { createReporter } from '@margay/kit/reporter'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Dataplane, NodePolicy } from '../../src/dataplane/dataplane.ts'
import { createMemoryDataplane } from '../../src/dataplane/memory.ts'
import { defaultRenderOptions } from '../../src/nftables/render.ts'
import { createHostPlacements } from '../../src/node/host-endpoints.ts'
import { createProgrammer } from '../../src/node/programmer.ts'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function harness(routes: Record<string, string>) {
  const model = clusterOf(namespace('shop'), pod({ name: 'web', ips: ['10.0.0.1'] }))
  const memory = createMemoryDataplane()
  const seen: NodePolicy[] = []
  const addresses = new Map([['192.0.2.1', 'eth0']])
  let broken = false
  let version = 1
  const dataplane: Dataplane = {
    ...memory,
    async program(policy) {
      if (broken) throw new Error('nft says no')
      seen.push(policy)
      return memory.program(policy)
    },
  }
  const programmer = createProgrammer('node1', {
    model,
    version: () => version,
    dataplane,
    interfaceOf: (ip) => routes[ip] ?? null,
    hosts: createHostPlacements('node1', { model, addresses: () => addresses }),
    options: () => defaultRenderOptions,
    reporter: createReporter('agent', { level: 'fatal' }),
  })
  return {
    model,
    seen,
    programmer,
    routes,
    setBroken(value: boolean) {
      broken = value
    },
    setVersion(value: number) {
      version = value
    },
  }
}

test('a burst of changes is one programming, and the revision follows', async () => {
  const { programmer, seen, setVersion } = harness({ '10.0.0.1': 'cali1' })
  await programmer.start?.()
  expect(programmer).toMatchObject({ revision: 1, endpoints: 1 })
  setVersion(7)
  for (let i = 0; i < 20; i += 1) programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(seen.length).toBe(2)
  expect(programmer.revision).toBe(7)
  await programmer.stop?.()
})

test('a refused programming is tried again, tells why, and does not raise the revision', async () => {
  const { programmer, setBroken, setVersion } = harness({ '10.0.0.1': 'cali1' })
  await programmer.start?.()
  setBroken(true)
  setVersion(8)
  programmer.changed()
  await vi.advanceTimersByTimeAsync(5000)
  expect(programmer.revision).toBe(1)
  expect(programmer.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('nft says no') })
  setBroken(false)
  await vi.advanceTimersByTimeAsync(20_000)
  expect(programmer.revision).toBe(8)
  expect(programmer.health?.()).toEqual({ state: 'ok' })
  await programmer.stop?.()
})

test('an endpoint without an interface is named, and enforced once its route appears', async () => {
  const { programmer, seen, model, routes } = harness({})
  applyYaml(model, pod({ name: 'far', ips: ['10.0.9.9'], node: 'node2' }))
  await programmer.start?.()
  expect(programmer.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('shop/web') })
  routes['10.0.0.1'] = 'cali1'
  programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(seen.at(-1)?.endpoints.map((e) => e.interfaceName)).toEqual(['cali1'])
  expect(programmer.health?.()).toEqual({ state: 'ok' })
  await programmer.stop?.()
})
