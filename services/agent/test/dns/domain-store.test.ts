import { matchDomain } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DomainAnswer } from '../../src/dns/domain-facts.ts'
import type { DomainSet } from '../../src/dns/domain-sets.ts'
import { createDomainStore, type DomainStore, domainLimits } from '../../src/dns/domain-store.ts'

const answer = (name: string, ips: readonly string[], ttl = 60): DomainAnswer => ({
  chain: [{ name, ttl: 0 }],
  addresses: ips.map((ip) => ({ ip, ttl })),
})
const set = (name: string, ...patterns: string[]): DomainSet => ({ name, family: 4, patterns })

/** What the kernel would hold after it was told everything. */
function kernel(store: DomainStore): { sets: Map<string, Set<string>>; drain(): Record<string, string[]> } {
  const sets = new Map<string, Set<string>>()
  return {
    sets,
    drain() {
      for (const { set: name, op, ip } of store.take().elements) {
        const members = sets.get(name) ?? new Set()
        sets.set(name, members)
        // Telling the kernel what it knows already would be waste, taking away what it does not have an error.
        expect(members.has(ip)).toBe(op === 'delete')
        if (op === 'add') members.add(ip)
        else members.delete(ip)
      }
      return Object.fromEntries([...sets].map(([name, members]) => [name, [...members].sort()]))
    },
  }
}

test('an address counts for every name on the chain that led to it, as long as the shortest life on the way', () => {
  const store = createDomainStore()
  const told = kernel(store)
  store.replaceSets([set('asked', 'api.twilio.com'), set('edge', 'edge.example'), set('other', 'other.example')])
  store.learn(
    {
      chain: [
        { name: 'api.twilio.com', ttl: 30 },
        { name: 'edge.example', ttl: 0 },
      ],
      addresses: [{ ip: '192.0.2.1', ttl: 90 }],
    },
    0,
  )
  expect(told.drain()).toEqual({ asked: ['192.0.2.1'], edge: ['192.0.2.1'] })
  store.expire(30_000)
  expect(told.drain()).toEqual({ asked: [], edge: ['192.0.2.1'] })
  store.expire(90_000)
  expect(told.drain()).toEqual({ asked: [], edge: [] })
  expect(store.size).toEqual({ names: 0, pairs: 0, sets: 3, elements: 0 })
})

test('an alias has the addresses that its target is given later, or had before', () => {
  const store = createDomainStore()
  const told = kernel(store)
  store.replaceSets([set('s', 'www.example')])
  store.learn(answer('cdn.example', ['192.0.2.1']), 0)
  store.learn(
    {
      chain: [
        { name: 'www.example', ttl: 60 },
        { name: 'cdn.example', ttl: 0 },
      ],
      addresses: [],
    },
    1000,
  )
  store.learn(answer('cdn.example', ['192.0.2.2']), 2000)
  expect(told.drain()).toEqual({ s: ['192.0.2.1', '192.0.2.2'] })
  store.expire(61_000)
  store.learn(answer('cdn.example', ['192.0.2.3']), 61_000)
  expect(told.drain()).toEqual({ s: [] })
})

test('an answer of no life can be used at once, and a refreshed one without a gap; more life is added as asked', () => {
  const store = createDomainStore()
  const told = kernel(store)
  store.replaceSets([set('s', '*.example')])
  store.learn(answer('a.example', ['192.0.2.1'], 0), 0)
  store.expire(9_999)
  expect(told.drain()).toEqual({ s: ['192.0.2.1'] })
  store.learn(answer('a.example', ['192.0.2.1', '192.0.2.2'], 20), 9_999)
  store.expire(29_998)
  expect(told.drain()).toEqual({ s: ['192.0.2.1', '192.0.2.2'] })
  store.extraMs = 60_000
  store.learn(answer('a.example', ['192.0.2.2'], 20), 29_998)
  store.expire(29_999)
  expect(told.drain()).toEqual({ s: ['192.0.2.2'] })
  store.expire(109_997)
  expect(told.drain()).toEqual({ s: ['192.0.2.2'] })
  store.expire(109_998)
  expect(told.drain()).toEqual({ s: [] })
})

test('an address that two names gave is there until neither gives it, and is told as ambiguous', () => {
  const store = createDomainStore()
  const told = kernel(store)
  store.replaceSets([set('s', 'allowed.example', 'also.example')])
  store.learn(answer('denied.example', ['192.0.2.1'], 600), 0)
  expect(told.drain()).toEqual({})
  store.learn(answer('allowed.example', ['192.0.2.1'], 60), 0)
  store.learn(answer('also.example', ['192.0.2.1'], 30), 0)
  expect(store.names('192.0.2.1').sort()).toEqual(['allowed.example', 'also.example', 'denied.example'])
  expect(store.shared(10)).toEqual([
    { ip: '192.0.2.1', set: 's', allowed: ['allowed.example', 'also.example'], others: ['denied.example'] },
  ])
  store.expire(30_000)
  expect(told.drain()).toEqual({ s: ['192.0.2.1'] })
  store.expire(60_000)
  expect(told.drain()).toEqual({ s: [] })
  expect(store.shared(10)).toEqual([])
})

test('what was learned comes back from disk with the time that is left', () => {
  const before = createDomainStore()
  before.learn(answer('a.example', ['192.0.2.1', '2001:db8::1'], 100), 0)
  before.learn(answer('b.example', ['192.0.2.2'], 20), 0)
  const after = createDomainStore()
  const told = kernel(after)
  after.restore([...before.known()], 50_000)
  after.replaceSets([set('v4', '*.example'), { name: 'v6', family: 6, patterns: ['*.example'] }])
  expect(told.drain()).toEqual({ v4: ['192.0.2.1'], v6: ['2001:db8::1'] })
  after.expire(100_000)
  expect(told.drain()).toEqual({ v4: [], v6: [] })
})

test('a hostile server fills no more than the bounds, and names that rules want are the last to go', () => {
  const store = createDomainStore({
    names: 100,
    pairs: 200,
    addressesPerName: 8,
    aliasesPerName: 4,
    creditsPerAnswer: 150,
  })
  const told = kernel(store)
  store.replaceSets([set('s', 'wanted.example')])
  store.learn(answer('wanted.example', ['192.0.2.1'], 3600), 0)
  const ips = Array.from({ length: 100 }, (_, i) => `198.51.100.${i}`)
  for (let i = 0; i < 200; i += 1) {
    store.learn(answer(`x${i}.evil.example`, ips, 2 ** 31), i)
    store.learn(
      {
        chain: [
          { name: `y${i}.evil.example`, ttl: 2 ** 31 },
          { name: 'wanted.example', ttl: 0 },
        ],
        addresses: [],
      },
      i,
    )
  }
  store.learn(answer('wanted.example', ['192.0.2.2'], 3600), 1000)
  expect(store.size.names).toBeLessThanOrEqual(100)
  expect(store.size.pairs).toBeLessThanOrEqual(200)
  expect(store.dropped).toBeGreaterThan(200)
  expect(told.drain()).toEqual({ s: ['192.0.2.1', '192.0.2.2'] })
  store.learn(answer('wanted.example', ips, 3600), 2000)
  expect(told.drain().s).toHaveLength(8)
})

test('names that lead to one another in every way there is cost one answer no more than its share', () => {
  const store = createDomainStore()
  const names = Array.from({ length: 300 }, (_, i) => `n${i}.evil.example`)
  for (const [i, name] of names.entries())
    for (let j = 1; j <= 30; j += 1) {
      const target = names[(i + j * 7) % names.length] as string
      store.learn(
        {
          chain: [
            { name, ttl: 3600 },
            { name: target, ttl: 0 },
          ],
          addresses: [],
        },
        0,
      )
    }
  const ips = Array.from({ length: 512 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
  store.learn(answer('n0.evil.example', ips, 3600), 0)
  expect(store.size.pairs).toBeLessThanOrEqual(domainLimits.creditsPerAnswer)
  expect(store.dropped).toBeGreaterThan(0)
})

// A server that says whatever it likes, against a model that remembers every credit there ever was.
const names = ['a.x', 'b.x', 'x', 'a.b.x', 'c.y']
const event = fc.oneof(
  fc.record({
    type: fc.constant('learn' as const),
    chain: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }),
    ttl: fc.integer({ min: 10, max: 40 }),
    ips: fc.uniqueArray(fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'), { maxLength: 2 }),
  }),
  fc.record({ type: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 20 }) }),
  fc.record({
    type: fc.constant('sets' as const),
    patterns: fc.array(fc.uniqueArray(fc.constantFrom('*.x', 'x', 'a.x', 'a.*.x', '*.y'), { minLength: 1 }), {
      maxLength: 2,
    }),
  }),
)

test('sets hold at every moment what a simple model says, whatever servers answer', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const store = createDomainStore(domainLimits)
      let now = 0
      let sets: DomainSet[] = []
      let generation = 0
      const held = new Map<string, Set<string>>()
      const lives = new Map<string, number>()
      const links = new Map<string, number>()
      const raise = (name: string, ip: string, until: number) => {
        if ((lives.get(`${name} ${ip}`) ?? 0) >= until) return
        lives.set(`${name} ${ip}`, until)
        for (const [pair, ends] of links) {
          const [from, to] = pair.split(' ') as [string, string]
          if (to === name && ends > now) raise(from, ip, Math.min(until, ends))
        }
      }
      for (const step of events) {
        if (step.type === 'wait') now += step.seconds * 1000
        else if (step.type === 'sets') {
          generation += 1
          sets = step.patterns.map((patterns, i) => ({
            name: `s${generation}-${i}`,
            family: i === 0 ? 4 : 6,
            patterns,
          }))
          store.replaceSets(sets)
        } else {
          const until = now + step.ttl * 1000
          for (let i = step.chain.length - 2; i >= 0; i -= 1) {
            const pair = `${step.chain[i]} ${step.chain[i + 1]}`
            links.set(pair, Math.max(links.get(pair) ?? 0, until))
            for (const [key, ends] of lives) {
              const [name, ip] = key.split(' ') as [string, string]
              if (name === step.chain[i + 1] && ends > now)
                raise(step.chain[i] as string, ip, Math.min(ends, links.get(pair) as number))
            }
          }
          for (const ip of step.ips) raise(step.chain.at(-1) as string, ip, until)
          const chain = step.chain.map((name) => ({ name, ttl: step.ttl }))
          store.learn({ chain, addresses: step.ips.map((ip) => ({ ip, ttl: step.ttl })) }, now)
        }
        store.expire(now)
        for (const { set: name, op, ip } of store.take().elements) {
          const members = held.get(name) ?? new Set()
          held.set(name, members)
          if (op === 'add') members.add(ip)
          else members.delete(ip)
        }
        for (const { name, family, patterns } of sets) {
          const wanted = new Set<string>()
          for (const [key, ends] of lives) {
            const [domain, ip] = key.split(' ') as [string, string]
            if (ends > now && ip.includes(':') === (family === 6) && patterns.some((p) => matchDomain(p, domain)))
              wanted.add(ip)
          }
          expect([...(held.get(name) ?? [])].sort()).toEqual([...wanted].sort())
          expect([...store.members(name)].sort()).toEqual([...wanted].sort())
        }
      }
    }),
    { numRuns: 120 },
  )
})
