import { expect, test } from 'vitest'
import { defaultDenial } from '../../src/nftables/denial.ts'
import { accept, clearEveryMarkIfAny, clearMarks, settled } from '../../src/nftables/marks.ts'
import { defaultRenderOptions } from '../../src/nftables/render.ts'
import { clusterOf } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'
import { rendering } from './rendering.ts'

const addresses = new Map([
  ['192.0.2.1', 'eth0'],
  ['198.51.100.1', 'eth1'],
])
const policy = (name: string, spec: string, selector = 'has(host)') => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {selector: "${selector}", ${spec}}
---
`
const stages = [
  policy('raw', 'doNotTrack: true, applyOnForward: true, types: [Ingress, Egress], ingress: [{action: Allow}]'),
  policy('door', 'preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny}]'),
  policy('way', 'applyOnForward: true, types: [Ingress, Egress], ingress: [{action: Allow}]'),
]
const hooksOf = (texts: Record<string, string[]>) =>
  Object.keys(texts).filter((name) => /^(untracked|pre-dnat|forward-|to-host|from-host|before-dnat|output)/.test(name))

test('a stage without policies has no chains, and a node without host endpoints none at all', () => {
  const one = hostEndpoint({ name: 'wire', interfaceName: 'eth0' })
  expect(hooksOf(rendering(clusterOf(...stages), addresses).texts())).toEqual([])
  expect(hooksOf(rendering(clusterOf(one), addresses).texts()).sort()).toEqual([
    'from-host',
    'output',
    'output-after-nat',
    'to-host',
  ])
  expect(hooksOf(rendering(clusterOf(one, ...stages), addresses).texts()).sort()).toEqual([
    'before-dnat',
    'forward-in',
    'forward-out',
    'from-host',
    'output',
    'output-after-nat',
    'output-before-tracking',
    'pre-dnat',
    'to-host',
    'untracked-in',
    'untracked-out',
  ])
})

test('an endpoint of its own interface goes before `*` also where it has no policy', () => {
  const hosts = [
    hostEndpoint({ name: 'wire', interfaceName: 'eth0' }).replace("host: 'yes'", "other: 'yes'"),
    hostEndpoint({ name: 'rest', interfaceName: '*' }),
  ]
  const { plan, texts } = rendering(clusterOf(...hosts, ...stages), addresses)
  for (const map of [
    'untracked-in-hosts',
    'untracked-out-hosts',
    'pre-dnat-hosts',
    'forward-in-hosts',
    'forward-out-hosts',
  ])
    expect([...(plan.sets.get(map)?.set.elements ?? [])], map).toEqual([['"eth0"', 'return']])
  expect(texts()['pre-dnat']?.at(-1)).toMatch(/^goto to-[0-9a-f]{16}$/)
})

test('what an early stage lets through for good is remembered until the packet has passed its last hook', () => {
  const { texts } = rendering(clusterOf(hostEndpoint({ name: 'wire', interfaceName: 'eth0' }), ...stages), addresses)
  const chains = texts()
  const settle = `meta mark & ${accept} != 0 ${clearMarks} meta mark set meta mark | ${settled}`
  const clear = clearEveryMarkIfAny.join(' ')
  expect(chains['anti-spoofing']?.slice(-3)).toEqual([clear, 'jump untracked-in', `${settle} notrack`])
  expect(chains['output-before-tracking']).toEqual([clear, 'jump untracked-out', `${settle} notrack`])
  expect(chains['before-dnat']).toEqual([`meta mark & ${settled} == 0 jump pre-dnat`, settle])
  expect(chains.input).toContain(`iifname != "cali*" meta mark & ${settled} == 0 jump to-host`)
  expect(chains.forward).toContain(`meta mark & ${settled} == 0 jump forward-in`)
  expect(chains.forward).toContain('jump forward-out')
  for (const hook of ['input', 'forward', 'output', 'output-after-nat']) expect(chains[hook]?.at(-1), hook).toBe(clear)
})

test('packets of no connection pass when configuration says so', () => {
  const model = clusterOf(hostEndpoint({ name: 'wire', interfaceName: 'eth0' }), ...stages)
  const drops = (checksState: boolean) =>
    Object.values(rendering(model, addresses, { ...defaultRenderOptions, checksState }).texts())
      .flat()
      .filter((rule) => rule === 'ct state invalid drop').length
  expect(drops(false)).toBe(0)
  expect(drops(true)).toBeGreaterThan(2)
})

test('nothing is rejected where the kernel cannot: before DNAT, before tracking, and after the translation of what the node sends', () => {
  const denial = { ...defaultDenial, action: 'reject' as const }
  const model = clusterOf(hostEndpoint({ name: 'wire', interfaceName: 'eth0' }), ...stages)
  const { plan, texts } = rendering(model, addresses, { ...defaultRenderOptions, denial })
  const chains = texts()
  /** All rules that a packet may meet from a chain on. */
  function reach(name: string, seen = new Set<string>()): string[] {
    if (seen.has(name)) return []
    seen.add(name)
    const rules = chains[name] ?? []
    const verdicts = [...rules, ...rules.flatMap((rule) => mapped(rule))]
    const next = verdicts.flatMap((text) => [...text.matchAll(/(?:jump|goto) (\S+)/g)].map(([, to]) => to as string))
    return [...rules, ...next.flatMap((to) => reach(to, seen))]
  }
  const mapped = (rule: string) => [
    ...(plan.sets.get(/vmap @(\S+)/.exec(rule)?.[1] ?? '')?.set.elements.values() ?? []),
  ]
  const rejects = (hook: string) => reach(hook).some((rule) => rule.endsWith('reject'))
  expect(['input', 'forward', 'output'].map(rejects)).toEqual([true, true, true])
  expect(['anti-spoofing', 'output-before-tracking', 'before-dnat', 'output-after-nat'].map(rejects)).toEqual(
    Array(4).fill(false),
  )
})
