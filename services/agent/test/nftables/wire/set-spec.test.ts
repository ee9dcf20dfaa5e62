import { describe, expect, test } from 'vitest'
import { parseHook, printHook } from '../../../src/nftables/wire/hook.ts'
import {
  keyTypeNumber,
  parseSetSpec,
  printSetSpec,
  type SetSpec,
  setFlagsOf,
} from '../../../src/nftables/wire/set-spec.ts'
import { hooks, sets } from './vocabulary.ts'

test.each(sets.map(({ spec }) => spec))('the spec "%s" is read, and printed as it was', (text) => {
  const spec = parseSetSpec(text) as SetSpec
  expect(printSetSpec(keyTypeNumber(spec), setFlagsOf(spec))).toBe(text)
})

test('a concatenation is as long as its fields, each padded to four bytes; its type has six bits for each', () => {
  const spec = parseSetSpec('type ipv6_addr . inet_proto . inet_service;') as SetSpec
  expect(spec.keySize).toBe(24)
  expect(keyTypeNumber(spec)).toBe(0x830d)
})

test.each([
  '',
  'type ipv4_addr',
  'type ipv5_addr;',
  'type ipv4_addr; flags timeout;',
  'type ipv4_addr : mark;',
  'typeof ip saddr;',
])('"%s" is no spec', (text) => {
  expect(parseSetSpec(text)).toBeNull()
})

test('a set of a type or with a flag that is not written here has no spec', () => {
  expect(printSetSpec(9, 0)).toBeNull()
  expect(printSetSpec(7, 0x10)).toBeNull()
})

describe('a hook', () => {
  test.each(hooks)('"%s" is read, and printed as it was', (text) => {
    const hook = parseHook(text)
    expect(hook && printHook(hook)).toBe(text)
  })

  test('is printed the same however it was written', () => {
    const texts = ['priority -150; policy accept;', 'priority mangle;', 'priority raw + 150; policy accept;']
    const printed = texts.map((text) => {
      const hook = parseHook(`type filter hook prerouting ${text}`)
      return hook && printHook(hook)
    })
    expect(new Set(printed)).toEqual(new Set(['type filter hook prerouting priority mangle; policy accept;']))
  })

  test.each([
    '',
    'forward',
    'type filter hook nowhere priority 0;',
    'type filter hook input priority high;',
    'type filter hook input priority 0; policy queue;',
  ])('is not "%s"', (text) => {
    expect(parseHook(text)).toBeNull()
  })
})
