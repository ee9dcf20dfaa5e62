import { createReporter } from '@margay/kit/reporter'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Capabilities, Dataplane, NodePolicy } from '../../src/dataplane/dataplane.ts'
import { createMemoryDataplane } from '../../src/dataplane/memory.ts'
import { defaultRenderOptions } from '../../src/nftables/render.ts'
import { createHostPlacements } from '../../src/node/host-endpoints.ts'
import { createProgrammer } from '../../src/node/programmer.ts'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function harness(routes: Record<string, string>, capabilities: Partial<Capabilities> = {}) {
  const model = clusterOf(namespace('shop'), pod({ name: 'web', ips: ['10.0.0.1'] }))
  const refusals = new Map<string, string>()
  const memory = createMemoryDataplane(model, { refuses: (id) => refusals.get(id) ?? null })
  const seen: NodePolicy[] = []
  const addresses = new Map([['192.0.2.1', 'eth0']])
  let broken = false
  let version = 1
  const dataplane: Dataplane = {
    ...memory,
    capabilities: { ...memory.capabilities, ...capabilities },
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
    refusals,
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

const policy = (name: string, spec: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: ${spec}
---
`
test('rules with domains degrade health where their sets stay empty, when they select an endpoint of the node', async () => {
  const toExample = "types: [Egress], egress: [{action: Allow, destination: {domains: ['*.example.com']}}]"
  const domains = { on: false, reason: 'no DNS here' }
  const { programmer, model } = harness({ '10.0.0.1': 'cali1' }, { domains })
  applyYaml(model, policy('far', `{selector: app == 'far', ${toExample}}`))
  await programmer.start?.()
  expect(programmer.health?.()).toEqual({ state: 'ok' })
  applyYaml(model, policy('near', `{selector: all(), ${toExample}}`))
  programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(programmer.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('no DNS here') })
  await programmer.stop?.()
})

test('a refused policy does not keep the others back, is named with the reason, and is tried again when it changes', async () => {
  const { programmer, model, refusals, setVersion } = harness({ '10.0.0.1': 'cali1' })
  await programmer.start?.()
  refusals.set('gnp:bad', 'the kernel has no memory left (ENOMEM)')
  applyYaml(model, policy('bad', '{selector: all(), types: [Ingress], ingress: [{action: Allow, protocol: TCP}]}'))
  applyYaml(model, policy('good', '{selector: all(), types: [Ingress], ingress: [{action: Allow, protocol: UDP}]}'))
  setVersion(2)
  programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(programmer).toMatchObject({ revision: 2, policies: 2 })
  expect([...programmer.refused.keys()]).toEqual(['gnp:bad'])
  expect(programmer.health?.()).toMatchObject({
    state: 'degraded',
    reason: expect.stringMatching(/gnp:bad: the kernel has no memory left/),
  })
  refusals.clear()
  applyYaml(model, policy('bad', '{selector: all(), types: [Ingress], ingress: [{action: Allow, protocol: SCTP}]}'))
  programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(programmer.refused.size).toBe(0)
  expect(programmer.health?.()).toEqual({ state: 'ok' })
  await programmer.stop?.()
})

test('host endpoints count as enforced, in all their stages; one without an interface degrades health', async () => {
  const { programmer, model, seen } = harness({ '10.0.0.1': 'cali1' })
  const texts = [
    policy('early', '{selector: has(host), types: [Ingress], preDNAT: true, applyOnForward: true}'),
    policy('raw', '{selector: has(host), types: [Ingress, Egress], doNotTrack: true, applyOnForward: true}'),
    policy('normal', '{selector: has(host), types: [Ingress]}'),
    hostEndpoint({ name: 'wire', ips: ['192.0.2.1'] }),
  ]
  for (const text of texts) applyYaml(model, text)
  await programmer.start?.()
  expect(seen.at(-1)?.hosts.named.get('eth0')?.name).toBe('wire')
  expect(programmer).toMatchObject({ endpoints: 2, policies: 3 })
  expect(programmer.health?.()).toEqual({ state: 'ok' })
  applyYaml(model, hostEndpoint({ name: 'lost', ips: ['203.0.113.9'] }))
  programmer.changed()
  await vi.advanceTimersByTimeAsync(100)
  expect(programmer.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('(lost)') })
  await programmer.stop?.()
})
