import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { expect, test } from 'vitest'
import { ipv4Bytes, ipv6Bytes, maskBytes, nextAfter } from '../../../src/nftables/wire/address.ts'

test('IPv4 addresses are read', () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      expect([...(ipv4Bytes(text) ?? [])]).toEqual(ipaddr.parse(text).toByteArray())
    }),
  )
})

test('IPv6 addresses are read in all their forms', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1)
      expect([...(ipv6Bytes(text) ?? [])]).toEqual(ipaddr.parse(canonical).toByteArray())
    }),
  )
})

test.each(['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '1.2.3.256', '1.2.3.a', '1.2.3.4 '])(
  '"%s" is no IPv4 address',
  (text) => {
    expect(ipv4Bytes(text)).toBeNull()
  },
)

test.each([
  '',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '12345::',
  'g::',
  '1.2.3.4',
  '1.2.3.4::',
  '::1.2.3',
  '1:2:3:4:5:6:7::8',
])('"%s" is no IPv6 address', (text) => {
  expect(ipv6Bytes(text)).toBeNull()
})

test('masks and the next address', () => {
  expect([...maskBytes(20, 4)]).toEqual([255, 255, 240, 0])
  expect([...maskBytes(0, 4)]).toEqual([0, 0, 0, 0])
  expect(nextAfter(Uint8Array.of(10, 255, 255))).toEqual(Uint8Array.of(11, 0, 0))
  expect(nextAfter(Uint8Array.of(255, 255))).toBeNull()
})
