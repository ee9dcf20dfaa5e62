import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCountedSet } from '../../src/policy/address-set.ts'
import { canonicalCidrs, cidrContains, parseAddress, parseCidr } from '../../src/policy/ip.ts'

const nets = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.1.1',
  '10.0.0.0/24',
  '10.0.0.0/16',
  '0.0.0.0/0',
  '10.0.0.0/31',
  '2001:db8::1',
  '2001:db8:1::1',
  '2001:db8::/32',
  '2001:db8:1::/48',
]
const lists = fc.subarray(nets)

describe('a counted set', () => {
  test('holds what any source names, without what a block of it covers, and tells each coming and going once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), lists), { maxLength: 12 }), (steps) => {
        const told = new Set<string>()
        const set = createCountedSet('s:x', 'net', (member, isMember) => {
          if (isMember) {
            expect(told.has(member)).toBe(false)
            told.add(member)
          } else expect(told.delete(member)).toBe(true)
        })
        const sources: string[][] = [[], [], []]
        for (const [source, list] of steps) {
          set.change(sources[source] as string[], list)
          sources[source] = list
          const reduced = canonicalCidrs(sources.flat())
          expect([...set.members].sort()).toEqual([...reduced].sort())
          expect(new Set(set.members)).toEqual(told)
          for (const ip of ['10.0.0.1', '10.0.0.3', '10.0.9.9', '11.0.0.1', '2001:db8:1::5', '2001:db9::1']) {
            const address = parseAddress(ip)
            const isInside = reduced.some((net) => {
              const block = parseCidr(net)
              return block !== null && address !== null && cidrContains(block, address)
            })
            expect([ip, set.has(ip)]).toEqual([ip, isInside])
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  test('of addresses with ports has exactly its members', () => {
    const set = createCountedSet('n:x', 'ip-port', () => {})
    set.change([], ['10.0.0.1,6,80', '10.0.0.1,6,80'])
    set.change(['10.0.0.1,6,80'], [])
    expect(set.has('10.0.0.1,6,80')).toBe(true)
    expect(set.has('10.0.0.1,6,81')).toBe(false)
    set.change(['10.0.0.1,6,80'], [])
    expect(set.has('10.0.0.1,6,80')).toBe(false)
  })
})
