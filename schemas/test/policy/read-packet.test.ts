import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalAddress, cidrContains, parseAddress, parseCidr } from '../../src/policy/ip.ts'
import { beforeDnat, readPacket } from '../../src/policy/read-packet.ts'
import { inNets } from '../../src/policy/rule-match.ts'
import { tcp } from './make.ts'

const four = fc.ipV4()
const six = fc.ipV6()
const nearlyFour = fc
  .array(fc.constantFrom('0', '1', '9', '25', '255', '256', '01', '.', '..', '-', ' ', 'a'), { maxLength: 8 })
  .map((parts) => parts.join(''))

describe('the end of a packet', () => {
  test('is the address that its text is, read fast or not', () => {
    fc.assert(
      fc.property(fc.oneof(four, six, nearlyFour, fc.string({ maxLength: 16 })), (text) => {
        const { source } = readPacket(tcp(text, '192.0.2.1', 80))
        const address = parseAddress(text)
        expect(source.family).toBe(address?.family ?? 0)
        expect(source.address()).toEqual(address)
        expect(source.ip).toBe(canonicalAddress(text))
        if (address?.family === 4) expect(BigInt(source.v4)).toBe(address.value)
      }),
    )
  })

  test('an IPv4 address mapped into IPv6 is the IPv4 address', () => {
    const { source, destination } = readPacket(tcp('::ffff:10.0.0.1', '192.0.2.1', 80))
    expect(source).toMatchObject({ ip: '10.0.0.1', family: 4 })
    expect(destination.member()).toBe('192.0.2.1,6,80')
  })

  test('lies in the blocks of a list as it lies in each of them', () => {
    const block = fc.tuple(fc.oneof(four, six), fc.integer({ min: 0, max: 128 })).map(([ip, prefix]) => {
      const bits = ip.includes(':') ? 128 : 32
      return `${ip}/${prefix % (bits + 1)}`
    })
    // Half of the addresses are taken from a block, or few would lie in any.
    const given = fc
      .tuple(fc.array(block, { maxLength: 5 }), fc.oneof(four, six), fc.boolean())
      .map(([list, ip, isInside]) => ({ list, ip: isInside ? (list[0]?.split('/')[0] ?? ip) : ip }))
    fc.assert(
      fc.property(given, ({ list, ip }) => {
        const address = parseAddress(ip)
        const expected = list.some((text) => {
          const cidr = parseCidr(text)
          return cidr !== null && address !== null && cidrContains(cidr, address)
        })
        expect(inNets(list, readPacket(tcp(ip, '192.0.2.1', 80)).source)).toBe(expected)
      }),
    )
  })
})

test('before DNAT a packet is to what the client addressed', () => {
  const plain = readPacket(tcp('10.0.0.1', '10.0.0.2', 8080))
  expect(beforeDnat(plain)).toBe(plain)
  const translated = readPacket(tcp('10.0.0.1', '10.0.0.2', 8080, { addressed: { ip: '10.96.0.1', port: 80 } }))
  expect(beforeDnat(translated).destination).toMatchObject({ ip: '10.96.0.1', port: 80 })
  expect(translated.destination).toMatchObject({ ip: '10.0.0.2', port: 8080 })
})
