import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalNetworks, familyOf } from '../../src/nftables/cidr.ts'

test('networks inside others are dropped, hosts have no prefix, bits behind the mask are cleared', () => {
  expect(canonicalNetworks(['10.1.2.3/8', '10.0.0.0/16', '192.0.2.7', '192.0.2.7/32', '2001:db8::1'], 4)).toEqual([
    '10.0.0.0/8',
    '192.0.2.7',
  ])
  expect(canonicalNetworks(['2001:db8:0:1::5/64', '2001:db8::/32', '::1', '10.0.0.0/8'], 6)).toEqual([
    '::1',
    '2001:db8::/32',
  ])
})

test('text that is no network is left out', () => {
  expect(canonicalNetworks(['', 'x', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0/8', '1.2.3.4/1.5'], 4)).toEqual([])
  expect(familyOf('fe80::1')).toBe(6)
  expect(familyOf('nonsense')).toBeNull()
})

test('the reduced list covers exactly the addresses of the given one and has no overlap', () => {
  const octet = fc.integer({ min: 0, max: 3 })
  const network = fc
    .tuple(octet, octet, fc.integer({ min: 24, max: 32 }))
    .map(([a, b, p]) => `10.0.${a}.${b * 64}/${p}`)
  const range = (text: string) => {
    const [address, length] = text.split('/') as [string, string?]
    const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
    const size = 2 ** (32 - Number(length ?? 32))
    const first = Math.floor(value / size) * size
    return { first, last: first + size - 1 }
  }
  fc.assert(
    fc.property(fc.array(network, { maxLength: 12 }), fc.integer({ min: 0, max: 1023 }), (networks, offset) => {
      const probe = 10 * 2 ** 24 + offset
      const reduced = canonicalNetworks(networks, 4).map(range)
      const covers = (list: { first: number; last: number }[]) =>
        list.filter((r) => r.first <= probe && probe <= r.last)
      expect(covers(reduced).length).toBe(covers(networks.map(range)).length > 0 ? 1 : 0)
    }),
  )
})
