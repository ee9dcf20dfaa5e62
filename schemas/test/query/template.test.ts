import { renderTemplate, templateVariables } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test('variables are named once, in the order of the text', () => {
  expect(templateVariables('${b}: ${ objectRef.name } ${b} ${} $c {d}')).toEqual(['b', 'objectRef.name'])
})

test.each<[string, Record<string, unknown>, string]>([
  [
    '${source_namespace}/${objectRef.name} sent ${sum} bytes',
    { source_namespace: 'shop', 'objectRef.name': 'x', sum: 5 },
    'shop/x sent 5 bytes',
  ],
  ['[${a}|${b}|${toString}]', { a: null }, '[||]'],
  ['${a}', { a: ['x', 'y'] }, 'x, y'],
  ['${a}', { a: { k: 'v' } }, '{"k":"v"}'],
  ['${a}', { a: '${b}', b: 'no' }, '${b}'],
  ['${a}', { a: '$&' }, '$&'],
  ['Subject: ${a}', { a: 'x\r\nBcc: y' }, 'Subject: x Bcc: y'],
  ['${a}', { a: '\u202egnp.exe \ud800' }, ' gnp.exe  '],
])('%j with %j reads %j', (text, values, expected) => {
  expect(renderTemplate(text, values)).toBe(expected)
})

test('values and texts are cut between characters', () => {
  expect([...renderTemplate('${a}', { a: '😀'.repeat(300) })]).toHaveLength(256)
  expect([...renderTemplate('${a}'.repeat(50), { a: 'x'.repeat(200) })]).toHaveLength(4096)
  expect(renderTemplate('${a}', { a: '😀'.repeat(300) })).toMatch(/^(😀)+…$/u)
})

/** Any code point, halves of characters too. */
const codePoint = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code))

test('whatever the value, one line of printable text comes out', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (value) => {
      expect(renderTemplate('${a}', { a: value })).not.toMatch(/[\r\n\p{Cc}\p{Cs}\u2028\u2029\u202e]/u)
    }),
  )
})
