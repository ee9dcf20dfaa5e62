import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64url, sha224 } from '../../src/policy/digest.ts'
import { printExpression } from '../../src/policy/selector/canonical.ts'
import { type Expression, not } from '../../src/policy/selector/expression.ts'
import { SelectorError } from '../../src/policy/selector/lexer.ts'
import { compileMatcher } from '../../src/policy/selector/matcher.ts'
import { parseExpression } from '../../src/policy/selector/parser.ts'
import { restrictionsOf } from '../../src/policy/selector/restrictions.ts'
import { parseSelector, selectorId } from '../../src/policy/selector/selector.ts'

const names = ['a', 'in', 'not', 'has', 'all', 'contains', 'starts', 'k8s-app', 'projectcalico.org/name']
const label = fc.constantFrom(...names)
const value = fc.constantFrom('', 'x', 'web', 'web-1', 'a"b', "a'b", 'b c')
const leaf: fc.Arbitrary<Expression> = fc.oneof(
  fc.constant<Expression>({ kind: 'all' }),
  label.map((name): Expression => ({ kind: 'has', label: name })),
  fc
    .tuple(label, fc.constantFrom('==' as const, '!=' as const, 'contains' as const, 'starts with' as const), value)
    .map(([name, operator, text]): Expression => ({ kind: 'compare', label: name, operator, value: text })),
  fc
    .tuple(label, fc.boolean(), fc.uniqueArray(value))
    .map(([name, negated, values]): Expression => ({ kind: 'in', label: name, negated, values: values.sort() })),
)
const expression = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    tie('tree').map((operand) => (operand.kind === 'not' ? operand : not(operand))),
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(tie('tree'), { minLength: 2, maxLength: 3 }))
      .map(([kind, operands]): Expression => ({ kind, operands })),
  ),
})).tree
const labels = fc.dictionary(label, value)

describe('the selector language', () => {
  test('printing and parsing a selector gives the selector back', () => {
    fc.assert(
      fc.property(expression, (tree) => {
        expect(parseExpression(printExpression(tree))).toEqual(tree)
      }),
    )
  })

  test('the canonical form of a canonical form is itself', () => {
    fc.assert(
      fc.property(expression, (tree) => {
        const canonical = printExpression(tree)
        expect(parseSelector(canonical).canonical).toBe(canonical)
      }),
    )
  })

  test('a negated selector matches exactly what the selector does not', () => {
    fc.assert(
      fc.property(expression, labels, (tree, given) => {
        expect(compileMatcher(not(tree))(given)).toBe(!compileMatcher(tree)(given))
      }),
    )
  })

  test('restrictions never exclude labels that match', () => {
    fc.assert(
      fc.property(expression, labels, (tree, given) => {
        if (!compileMatcher(tree)(given)) return
        for (const [name, { presence, values }] of restrictionsOf(tree)) {
          const found = Object.hasOwn(given, name) ? given[name] : undefined
          if (presence !== undefined) expect(found !== undefined).toBe(presence === 'present')
          if (values !== undefined) expect(values.has(found ?? '')).toBe(true)
        }
      }),
    )
  })

  test.each([
    ['', 'all()'],
    ['   ', 'all()'],
    ["a=='x'", 'a == "x"'],
    ["a in {'y','x', 'x',}", 'a in {"x", "y"}'],
    ["a not   in{'x'}", 'a not in {"x"}'],
    ['a notin {}', 'a not in {}'],
    [
      "a startswith 'x' || b ends  with 'y' && c contains 'z'",
      '(a starts with "x" || (b ends with "y" && c contains "z"))',
    ],
    ['!!has( a )', 'has(a)'],
    ["! a == 'b'", '!a == "b"'],
    ["in in {'in'} && all == 'all' && has == 'has'", '(in in {"in"} && all == "all" && has == "has")'],
    ['a == \'say "x"\'', 'a == \'say "x"\''],
    ['global( )', 'global()'],
  ])('%s is written %s', (text, canonical) => {
    expect(parseSelector(text).canonical).toBe(canonical)
  })

  test.each([
    ["a = 'b'", 2],
    ['a', 1],
    ['a == b', 5],
    ["a == 'b", 5],
    ["a == 'b' & c == 'd'", 9],
    ["a == 'b' | c == 'd'", 9],
    ['()', 1],
    ["a in {'x'", 9],
    ["a in {'x' 'y'}", 10],
    ["a == 'b' c == 'd'", 9],
    ['has (a)', 4],
    ['has(a', 3],
    ["a == 'b'\n", 8],
    [`${'x'.repeat(513)} == 'b'`, 0],
    [`${'('.repeat(100_000)}`, 256],
  ])('%j is refused at %i', (text, position) => {
    try {
      parseSelector(text)
      expect.unreachable('the selector was accepted')
    } catch (error) {
      expect(error).toBeInstanceOf(SelectorError)
      expect((error as SelectorError).position).toBe(position)
    }
  })

  test.each([
    ["a == ''", {}, false],
    ["a == ''", { a: '' }, true],
    ["a != 'x'", {}, true],
    ["a not in {'x'}", { a: 'x' }, false],
    ["a contains 'x'", { a: 'axb' }, true],
    ['has(toString)', {}, false],
    ["a == 'x' || b == 'y' && c == 'z'", { a: 'x' }, true],
  ])('%s on %j is %s', (text, given, verdict) => {
    expect(parseSelector(text).matches(given as Record<string, string>)).toBe(verdict)
  })

  test('the digest behind set identities is SHA-224', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(base64url(sha224(text))).toBe(createHash('sha224').update(text).digest('base64url'))
      }),
    )
    expect(selectorId('all()')).toMatch(/^s:[A-Za-z0-9_-]{38}$/)
  })
})
