import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outsideAddress } from '../../src/conformance/outside-address.ts'
import { cidrContains, parseAddress, parseCidr } from '../../src/policy/ip.ts'
import { aNetworkSet, gnp } from '../policy/make.ts'

const address = (family: 4 | 6, ...nets: string[]) => outsideAddress([aNetworkSet('dev/feed', { nets })], family)

test('an address of documentation stands for a name outside', () => {
  expect([address(4), address(6)]).toEqual(['203.0.113.80', '2001:db8::80'])
})

test('the next range is taken when a network set or a rule holds the first', () => {
  expect(address(4, '203.0.113.0/24', '198.51.100.66/32')).toBe('198.51.100.80')
  const rule = gnp('feed', { egress: [{ action: 'Deny', destination: { nets: ['203.0.113.64/26'] } }] })
  expect(outsideAddress([rule], 4)).toBe('198.51.100.80')
})

test('it looks within the ranges when each of them is held at its usual place', () => {
  const [a, b, c] = ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24'] as const
  expect(address(4, a, b, c, '198.18.0.0/16')).toBe('198.19.0.0')
  expect(address(4, a, b, '192.0.2.64/26', '198.18.0.0/15')).toBe('192.0.2.1')
  expect(address(4, a, b, '192.0.2.0/25', '198.18.0.0/15')).toBe('192.0.2.128')
  expect(address(6, '2001:db8::/32', '3fff::/21', '2001:2::/48')).toBe('3fff:800::')
})

test('where all is held, a block for everything does not count: the address that the fewest hold is taken', () => {
  const nets = ['0.0.0.0/0', '203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '198.18.0.0/15', '192.0.2.0/26']
  expect(address(4, ...nets, '203.0.113.0/25', '198.51.100.0/25')).toBe('192.0.2.80')
})

test('no block holds it whenever some address of the ranges is free', () => {
  const ranges = ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '198.18.0.0/15'] as const
  const within = fc
    .tuple(fc.constantFrom('203.0.113', '198.51.100', '192.0.2'), fc.nat(255), fc.integer({ min: 24, max: 32 }))
    .map(([net, host, prefix]) => `${net}.${host}/${prefix}`)
  fc.assert(
    fc.property(fc.array(within, { maxLength: 12 }), (nets) => {
      // The last address of the benchmarks' range is all that is certainly free.
      const held = [...nets, '198.18.0.0/16', '198.19.0.0/17', '198.19.128.0/18', '198.19.192.0/19']
      const found = parseAddress(address(4, ...held)) as NonNullable<ReturnType<typeof parseAddress>>
      const holds = (block: string) =>
        cidrContains(parseCidr(block) as NonNullable<ReturnType<typeof parseCidr>>, found)
      expect(held.filter(holds)).toEqual([])
      expect(ranges.filter(holds)).toHaveLength(1)
    }),
  )
})
