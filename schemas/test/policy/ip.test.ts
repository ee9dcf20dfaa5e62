import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Address,
  type Cidr,
  canonicalAddress,
  canonicalCidrs,
  cidrContains,
  parseAddress,
  parseCidr,
  printCidr,
} from '../../src/policy/ip.ts'

describe('addresses and blocks', () => {
  test.each([
    '10.0.0',
    '010.0.0.1',
    '10.0.0.256',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/08',
    'fe80::1%eth0',
    '::/129',
    'web',
    '1',
  ])('%s is neither an address nor a block', (text) => expect(parseCidr(text)).toBeNull())

  test.each([
    ['10.1.2.3/8', '10.0.0.0/8', false],
    ['10.0.0.1/32', '10.0.0.1', true],
    ['2001:DB8:0:0::1', '2001:db8::1', true],
    ['2001:db8::/48', '2001:db8::/48', true],
    ['0.0.0.0/0', '0.0.0.0/0', true],
    ['::/0', '::/0', true],
    ['255.255.255.255', '255.255.255.255', true],
  ])('%s is written %s', (text, printed, masked) => {
    const cidr = parseCidr(text)
    expect(cidr && printCidr(cidr)).toBe(printed)
    expect(cidr?.masked).toBe(masked)
  })

  test('an IPv4 address mapped into IPv6 is the IPv4 address', () => {
    expect(canonicalAddress('::ffff:10.0.0.1')).toBe('10.0.0.1')
  })

  test('blocks that others cover are dropped', () => {
    expect(
      canonicalCidrs(['10.0.0.0/8', '10.1.0.0/16', '2001:db8::1', '10.0.0.7', '192.168.0.1/32', 'x', '2001:db8::/32']),
    ).toEqual(['10.0.0.0/8', '192.168.0.1', '2001:db8::/32'])
  })

  test('a canonical list covers the same addresses as the list', () => {
    const small = fc
      .tuple(fc.nat(63), fc.integer({ min: 26, max: 32 }))
      .map(([host, prefix]) => `10.0.0.${host}/${prefix}`)
    fc.assert(
      fc.property(fc.array(small, { maxLength: 8 }), (list) => {
        const covers = (blocks: readonly string[], ip: string) =>
          blocks.some((block) => cidrContains(parseCidr(block) as Cidr, parseAddress(ip) as Address))
        const canonical = canonicalCidrs(list)
        expect(canonicalCidrs(canonical)).toEqual(canonical)
        for (let host = 0; host < 64; host++) {
          expect(covers(canonical, `10.0.0.${host}`)).toBe(covers(list, `10.0.0.${host}`))
        }
      }),
    )
  })
})
