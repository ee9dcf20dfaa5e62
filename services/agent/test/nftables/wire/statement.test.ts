import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createAttributeWriter } from '../../../src/nftables/wire/attribute-writer.ts'
import { createRuleWriter } from '../../../src/nftables/wire/rule.ts'
import { createStatementCompiler } from '../../../src/nftables/wire/statement.ts'
import { vocabulary } from './vocabulary.ts'

/** Rules, and the expressions that Linux 6.18 took for them and nft listed as their text. */
const captured = new Map(
  readFileSync(new URL('./expressions.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .flatMap((line, index, lines) => (index % 2 === 0 ? [[line, lines[index + 1]?.trim()] as const] : [])),
)

function expressions(rule: readonly string[]): string {
  const writer = createAttributeWriter(16)
  expect(createRuleWriter(createStatementCompiler('native')).write(writer, rule)).toBeNull()
  return writer.view().toString('hex')
}

describe('a rule', () => {
  test.each(vocabulary.map((rule) => [rule.join(' ; '), rule] as const))(
    '%s has the bytes that the kernel took',
    (text, rule) => {
      expect(expressions(rule)).toBe(captured.get(text))
    },
  )

  test('asks for the family and protocol of a packet before it reads its header, and only once', () => {
    const questions = (...rule: string[]) => expressions(rule).match(/6d65746100/g)?.length
    expect(questions('ip saddr 10.0.0.1', 'ip daddr 10.0.0.2')).toBe(1)
    expect(questions('meta nfproto ipv4', 'ip saddr 10.0.0.1')).toBe(1)
    expect(questions('ip6 saddr @a', 'icmpv6 type 1', 'icmpv6 code 2')).toBe(2)
    expect(questions('meta l4proto 1', 'icmp type 8')).toBe(1)
    expect(questions('meta l4proto != 1', 'icmp type 8')).toBe(3)
  })

  test('that holds a statement out of the vocabulary is not written, and the statement is named', () => {
    const rules = createRuleWriter(createStatementCompiler('native'))
    expect(rules.write(createAttributeWriter(), ['counter', 'ip saddr { 1.1.1.1, 2.2.2.2 }', 'drop'])).toBe(
      'ip saddr { 1.1.1.1, 2.2.2.2 }',
    )
  })
})

test.each([
  '',
  ' ',
  'foo',
  'accept ',
  'acceptable',
  'jump',
  'jump 0x',
  'jump a b',
  'jump a; drop',
  'ip saddr 10.0.0.256',
  'ip saddr 10.0.0',
  'ip saddr 10.0.0.1/33',
  'ip saddr fd00::1',
  'ip saddr 10.0.0.1-10.0.0.2',
  'ip6 saddr 10.0.0.1',
  'ip6 saddr fd00::1::2',
  'ip6 saddr fd00::/129',
  'ip ttl 5',
  'th dport 65536',
  'th dport 90-80',
  'th dport { 80, 81 }',
  'tcp dport 80',
  'meta l4proto 256',
  'meta l4proto tcp',
  'meta nfproto ipv5',
  'meta mark & 0x1ffffffff == 0',
  'meta mark set -1',
  'iifname ""',
  'iifname "a2345678901234567"',
  'iifname "a*b"',
  'iifname "*"',
  'icmp type 256',
  'ct state open',
  'ct original packets x',
  'log prefix "a"b"',
  'log prefix "a" level loud',
  'log prefix "a" group 65536',
  'log prefix "a" group 1 level info',
  'limit rate 0/second',
  'limit rate 5/second burst 0 packets',
  'queue num 65536 bypass',
  'th dport @1set',
])('"%s" is no statement', (text) => {
  expect(createStatementCompiler('native').compile(text)).toBeNull()
})

test('packets are queued by a statement, or by the target of xtables', () => {
  const hex = (form: 'native' | 'target', text: string) =>
    Buffer.from(createStatementCompiler(form).compile(text)?.bytes ?? []).toString('hex')
  expect(hex('native', 'queue num 101 bypass')).toBe(
    '2c000180' +
      '0a00010071756575650000' +
      '00' +
      '1c000280' +
      '0600010000650000' +
      '0600020000010000' +
      '0600030000010000',
  )
  // The target as this kernel took it, where it has no such expression.
  expect(hex('target', 'queue num 7 bypass')).toContain(
    '4e465155455545' + '00' + '0800020000000003' + '0c000300' + '0700010001000000',
  )
  expect(hex('target', 'queue num 7')).toContain('0c000300' + '0700010000000000')
})

test('a statement is compiled once, while it is remembered', () => {
  const compiler = createStatementCompiler('native', 8)
  const first = compiler.compile('th dport 80')
  expect(compiler.compile('th dport 80')).toBe(first)
  for (const port of [1, 2, 3, 4, 5]) compiler.compile(`th dport ${port}`)
  expect(compiler.compile('th dport 80')).toBe(first)
  for (let port = 1; port < 20; port += 1) compiler.compile(`th sport ${port}`)
  expect(compiler.compile('th dport 80')).not.toBe(first)
  expect(compiler.compile('th dport 80')).toEqual(first)
})
