import { expect, test } from 'vitest'
import type { NamedSet } from '../../src/nftables/ruleset.ts'
import { createTablePlan } from '../../src/nftables/table-plan.ts'
import { note, nothingPresent, type Present, transactions } from '../../src/nftables/transaction.ts'
import { printScript } from '../../src/nftables/wire/print.ts'

const set = (elements: string[], spec = 'type ipv4_addr;'): NamedSet => ({
  kind: 'set',
  spec,
  interval: spec.includes('interval'),
  elements: new Map(elements.map((e) => [e, ''])),
  domains: null,
})
const interval = 'type ipv4_addr; flags interval;'
const map = (verdicts: Record<string, string>): NamedSet => ({
  ...set([], 'type ifname : verdict;'),
  kind: 'map',
  elements: new Map(Object.entries(verdicts)),
})

/** A plan that is written into a kernel of names whenever it is asked what to send. */
function table(present: Present = nothingPresent()) {
  const plan = createTablePlan({ hold: () => {}, release: () => {} })
  return {
    plan,
    put(chains: Record<string, string[]>, sets: Record<string, NamedSet> = {}) {
      const rules = (texts: string[]) => texts.map((text) => text.split(' '))
      plan.put('all', {
        chains: new Map(Object.entries(chains).map(([name, texts]) => [name, { hook: null, rules: rules(texts) }])),
        sets: new Map(Object.entries(sets)),
        hits: new Map(),
        cause: null,
      })
    },
    sent() {
      const { before, build, change, after } = transactions(present, plan, plan.changed)
      const all = [before, build, change, after]
      for (const changes of all) note(present, changes)
      plan.written()
      return all
        .filter((changes) => changes.length > 0)
        .map((changes) => printScript('margay', changes).text.trim().split('\n'))
    },
  }
}

test('nothing is sent when nothing has changed', () => {
  const { put, sent } = table()
  put({ a: ['drop'] }, { s: set(['10.0.0.1']) })
  expect(sent()[0]?.[0]).toBe('add table inet margay')
  put({ a: ['drop'] }, { s: set(['10.0.0.1']) })
  expect(sent()).toEqual([])
})

test('new sets come before the rules that use them, chains and sets out of use go last', () => {
  const { put, sent } = table()
  put({ a: ['ip saddr @old drop'], gone: ['drop'] }, { old: set([]) })
  sent()
  put({ a: ['ip saddr @new drop'] }, { new: set(['10.0.0.0/8'], interval) })
  expect(sent()).toEqual([
    ['add set inet margay new { type ipv4_addr; flags interval; }', 'add element inet margay new { 10.0.0.0/8 }'],
    ['flush chain inet margay a', 'add rule inet margay a ip saddr @new drop'],
    ['flush chain inet margay gone', 'delete chain inet margay gone', 'delete set inet margay old'],
  ])
})

test('one member of a set is one element, an interval set is written as a whole', () => {
  for (const [spec, script] of [
    ['type ipv4_addr;', ['delete element inet margay s { 10.0.0.1 }', 'add element inet margay s { 10.0.0.3 }']],
    [interval, ['flush set inet margay s', 'add element inet margay s { 10.0.0.2, 10.0.0.3 }']],
  ] as const) {
    const { put, sent } = table()
    put({}, { s: set(['10.0.0.1', '10.0.0.2'], spec) })
    sent()
    put({}, { s: set(['10.0.0.2', '10.0.0.3'], spec) })
    expect(sent()).toEqual([script])
  }
})

test('an element that came and went between two transactions is not sent', () => {
  const { plan, put, sent } = table()
  const elements = new Map([['10.0.0.1', '']])
  put({}, { s: { ...set([]), elements } })
  sent()
  elements.set('10.0.0.2', '')
  plan.elements('s', ['10.0.0.2'], [])
  elements.delete('10.0.0.1')
  plan.elements('s', [], ['10.0.0.1'])
  elements.delete('10.0.0.2')
  plan.elements('s', [], ['10.0.0.2'])
  elements.set('10.0.0.3', '')
  plan.elements('s', ['10.0.0.3'], [])
  expect(sent()).toEqual([['delete element inet margay s { 10.0.0.1 }', 'add element inet margay s { 10.0.0.3 }']])
  expect(plan.size.elements).toBe(1)
})

test('what is only known by name is flushed and written again, in one transaction', () => {
  const { put, sent } = table({
    table: true,
    chains: new Map([['a', null]]),
    sets: new Map([['s', { kind: 'set', spec: 'type ipv4_addr;' }]]),
  })
  put({ a: ['accept'] }, { s: set(['10.0.0.1']) })
  expect(sent()).toEqual([
    [
      'flush chain inet margay a',
      'add rule inet margay a accept',
      'flush set inet margay s',
      'add element inet margay s { 10.0.0.1 }',
    ],
  ])
})

test('a kernel without the table gets the table first, and never loses it', () => {
  const { put, sent } = table()
  put({ a: ['accept'] })
  expect(sent()[0]?.[0]).toBe('add table inet margay')
  put({})
  expect(sent().flat().join('\n')).not.toMatch(/ table inet margay$/m)
})

test('a base chain that moved to another hook is made anew in one transaction', () => {
  const { plan, sent } = table({
    table: true,
    chains: new Map([['f', 'type filter hook forward priority 5; policy accept;']]),
    sets: new Map(),
  })
  const hook = 'type filter hook forward priority filter; policy accept;'
  plan.put('hooks', {
    chains: new Map([['f', { hook, rules: [['drop']] }]]),
    sets: new Map(),
    hits: new Map(),
    cause: null,
  })
  expect(sent()).toEqual([
    [
      'flush chain inet margay f',
      'delete chain inet margay f',
      `add chain inet margay f { ${hook} }`,
      'add rule inet margay f drop',
    ],
  ])
})

test('new chains stand before an element leads to them', () => {
  const { put, sent } = table()
  put({ x: ['drop'] }, { m: map({ '"cali1"': 'goto x' }) })
  sent()
  put({ y: ['accept'] }, { m: map({ '"cali1"': 'goto y' }) })
  expect(sent()).toEqual([
    ['add chain inet margay y', 'add rule inet margay y accept'],
    ['delete element inet margay m { "cali1" : goto x }', 'add element inet margay m { "cali1" : goto y }'],
    ['flush chain inet margay x', 'delete chain inet margay x'],
  ])
})

test('a verdict map changes element by element', () => {
  const { put, sent } = table()
  put({ x: [], y: [] }, { m: map({ '"cali1"': 'goto x', '"cali2"': 'goto x' }) })
  sent()
  put({ x: [], y: [] }, { m: map({ '"cali1"': 'goto y', '"cali2"': 'goto x' }) })
  expect(sent()).toEqual([
    ['delete element inet margay m { "cali1" : goto x }', 'add element inet margay m { "cali1" : goto y }'],
  ])
})

test('elements of domain sets are left alone, also when everything is written again', () => {
  const { plan, put, sent } = table()
  put({}, { d: { ...set([]), domains: ['a.example'] } })
  expect(sent()).toEqual([['add table inet margay', 'add set inet margay d { type ipv4_addr; }']])
  const everything = { chains: new Map<string, null>(), sets: new Map([['d', 'all' as const]]) }
  const present: Present = {
    table: true,
    chains: new Map(),
    sets: new Map([['d', { kind: 'set', spec: 'type ipv4_addr;' }]]),
  }
  expect(transactions(present, plan, everything)).toEqual({ before: [], build: [], change: [], after: [] })
})
