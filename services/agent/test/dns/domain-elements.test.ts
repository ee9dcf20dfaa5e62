import { MargayError } from '@margay/kit/errors'
import { expect, test } from 'vitest'
import { createDomainElements } from '../../src/dns/domain-elements.ts'
import { createDomainStore } from '../../src/dns/domain-store.ts'
import type { TableChange } from '../../src/nftables/wire/change.ts'

/** Sets of a kernel, all of whose transactions are done or none. */
function kernel(names: readonly string[]) {
  const sets = new Map(names.map((name) => [name, new Set<string>()]))
  const state = { sets, transactions: 0, isBroken: false }
  return {
    state,
    members: (set: string) => (sets.has(set) ? [...(sets.get(set) as Set<string>)] : null),
    commit(changes: readonly TableChange[]) {
      if (state.isBroken) throw new MargayError('NETLINK_FAILED', 'no answer')
      const elements = changes.filter((change) => change.type === 'elements')
      for (const { set, op, elements: ips } of elements)
        for (const ip of ips as readonly string[])
          if (!sets.has(set) || (op === 'delete' && !sets.get(set)?.has(ip)))
            throw new MargayError('NFT_REFUSED', `${ip} of ${set}`)
      state.transactions += 1
      for (const { set, op, elements: ips } of elements)
        for (const ip of ips as readonly string[]) sets.get(set)?.[op](ip)
    },
  }
}

function rig(names: readonly string[]) {
  const clock = { now: 0 }
  const store = createDomainStore()
  const fake = kernel(names)
  const elements = createDomainElements({ store, kernel: fake, now: () => clock.now })
  const fill = (...list: string[]) => {
    const steps = [...elements.fill(list.map((name) => ({ name, family: 4, patterns: ['*.example'] })))]
    return steps.length
  }
  const learn = (name: string, ips: readonly string[], ttl = 60) =>
    store.learn({ chain: [{ name, ttl: 0 }], addresses: ips.map((ip) => ({ ip, ttl })) }, clock.now)
  const held = (set: string) => [...(fake.state.sets.get(set) ?? [])].sort()
  return { clock, store, fake, elements, fill, learn, held }
}

test('one answer is one transaction, for all the sets that it is about', () => {
  const { fake, elements, fill, learn, held } = rig(['a', 'b'])
  fill('a', 'b')
  fake.state.transactions = 0
  learn('x.example', ['192.0.2.1', '192.0.2.2'])
  expect(elements.apply()).toEqual({
    learned: [
      ['x.example', '192.0.2.1'],
      ['x.example', '192.0.2.2'],
    ],
    forgotten: [],
  })
  expect(fake.state.transactions).toBe(1)
  expect([held('a'), held('b')]).toEqual([
    ['192.0.2.1', '192.0.2.2'],
    ['192.0.2.1', '192.0.2.2'],
  ])
})

test('a set that is gone already keeps no other from being told', () => {
  const { elements, fill, learn, held } = rig(['b'])
  fill('a', 'b')
  learn('x.example', ['192.0.2.1'])
  elements.apply()
  expect(held('b')).toEqual(['192.0.2.1'])
  expect(elements.refused).toBe(1)
  expect(elements.isIncomplete).toBe(false)
})

test('a kernel that does not answer is told everything by the next fill', () => {
  const { fake, elements, fill, learn, held } = rig(['a'])
  fill('a')
  fake.state.isBroken = true
  learn('x.example', ['192.0.2.1'])
  elements.apply()
  expect(elements.isIncomplete).toBe(true)
  fake.state.isBroken = false
  fill('a')
  expect(elements.isIncomplete).toBe(false)
  expect(held('a')).toEqual(['192.0.2.1'])
})

test('many addresses are filled in steps, with room for answers in between', () => {
  const { store, fill, learn, held } = rig(['a'])
  for (let name = 0; name < 6; name += 1)
    learn(
      `n${name}.example`,
      Array.from({ length: 250 }, (_, i) => `10.0.${name}.${i}`),
    )
  store.take()
  expect(fill('a')).toBe(3)
  expect(held('a')).toHaveLength(1500)
})

test('what was in a set before lives on for five minutes, and as long as it is learned again', () => {
  const { clock, fake, elements, fill, learn, held } = rig(['a'])
  fake.state.sets.get('a')?.add('192.0.2.8').add('192.0.2.9')
  fill('a')
  expect(held('a')).toEqual(['192.0.2.8', '192.0.2.9'])
  learn('x.example', ['192.0.2.9'], 3600)
  elements.apply()
  clock.now = 299_999
  elements.expire(clock.now)
  expect(held('a')).toEqual(['192.0.2.8', '192.0.2.9'])
  clock.now = 300_000
  elements.expire(clock.now)
  expect(held('a')).toEqual(['192.0.2.9'])
})

test('after another epoch nothing learned before stays, whoever learned it', () => {
  const { fake, elements, fill, learn, held } = rig(['a'])
  fake.state.sets.get('a')?.add('192.0.2.8')
  fill('a')
  learn('x.example', ['192.0.2.9'])
  elements.apply()
  elements.clear()
  expect(elements.apply().forgotten).toEqual([['x.example', '192.0.2.9']])
  expect(held('a')).toEqual([])
  const later = rig(['a'])
  later.elements.clear()
  later.fake.state.sets.get('a')?.add('192.0.2.8')
  later.fill('a')
  expect(later.held('a')).toEqual([])
})
