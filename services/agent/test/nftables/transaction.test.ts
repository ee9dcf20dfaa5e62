import { expect, test } from 'vitest'
import type { NamedSet, Ruleset } from '../../src/nftables/ruleset.ts'
import { emptyKernel, type KernelState, kernelOf, transactions } from '../../src/nftables/transaction.ts'

const set = (elements: string[], interval = false): NamedSet => ({
  kind: 'set',
  spec: interval ? 'type ipv4_addr; flags interval;' : 'type ipv4_addr;',
  interval,
  elements: new Map(elements.map((e) => [e, ''])),
})
const ruleset = (chains: Record<string, string[]>, sets: Record<string, NamedSet> = {}): Ruleset => ({
  chains: new Map(
    Object.entries(chains).map(([name, rules]) => [name, { hook: null, rules: rules.map((rule) => rule.split(' ')) }]),
  ),
  sets: new Map(Object.entries(sets)),
})

test('nothing is sent when the kernel holds all of it', () => {
  const wanted = ruleset({ a: ['drop'] }, { s: set(['10.0.0.1']) })
  expect(transactions(kernelOf(wanted), wanted)).toEqual([])
})

test('new sets come before the rules that use them, chains and sets out of use go last', () => {
  const before = kernelOf(ruleset({ a: ['ip saddr @old drop'], gone: ['drop'] }, { old: set([]) }))
  const scripts = transactions(before, ruleset({ a: ['ip saddr @new drop'] }, { new: set(['10.0.0.0/8'], true) }))
  expect(scripts.map((s) => s.trim().split('\n'))).toEqual([
    ['add set inet margay new { type ipv4_addr; flags interval; }', 'add element inet margay new { 10.0.0.0/8 }'],
    ['flush chain inet margay a', 'add rule inet margay a ip saddr @new drop'],
    ['flush chain inet margay gone', 'delete chain inet margay gone', 'delete set inet margay old'],
  ])
})

test('one member of a set is one element, an interval set is written as a whole', () => {
  const from = (interval: boolean) => kernelOf(ruleset({}, { s: set(['10.0.0.1', '10.0.0.2'], interval) }))
  const to = (interval: boolean) => ruleset({}, { s: set(['10.0.0.2', '10.0.0.3'], interval) })
  expect(transactions(from(false), to(false))).toEqual([
    'delete element inet margay s { 10.0.0.1 }\nadd element inet margay s { 10.0.0.3 }\n',
  ])
  expect(transactions(from(true), to(true))).toEqual([
    'flush set inet margay s\nadd element inet margay s { 10.0.0.2, 10.0.0.3 }\n',
  ])
})

test('what is only known by name is flushed and written again, in one transaction', () => {
  const listed: KernelState = {
    chains: new Map([['a', null]]),
    sets: new Map([['s', { kind: 'set', elements: null }]]),
  }
  expect(transactions(listed, ruleset({ a: ['accept'] }, { s: set(['10.0.0.1']) }))).toEqual([
    'flush chain inet margay a\nadd rule inet margay a accept\nflush set inet margay s\nadd element inet margay s { 10.0.0.1 }\n',
  ])
})

test('a kernel without the table gets the table first, and never loses it', () => {
  const [first] = transactions(emptyKernel, ruleset({ a: ['accept'] }))
  expect(first?.split('\n')[0]).toBe('add table inet margay')
  expect(transactions(kernelOf(ruleset({ a: [] })), ruleset({})).join('')).not.toContain('table inet margay\n')
})

test('a verdict map changes element by element', () => {
  const map = (verdicts: Record<string, string>): NamedSet => ({
    kind: 'map',
    spec: 'type ifname : verdict;',
    interval: false,
    elements: new Map(Object.entries(verdicts)),
  })
  const before = kernelOf(ruleset({ x: [], y: [] }, { m: map({ '"cali1"': 'goto x', '"cali2"': 'goto x' }) }))
  const after = ruleset({ x: [], y: [] }, { m: map({ '"cali1"': 'goto y', '"cali2"': 'goto x' }) })
  expect(transactions(before, after)).toEqual([
    'delete element inet margay m { "cali1" : goto x }\nadd element inet margay m { "cali1" : goto y }\n',
  ])
})
