import { identifier, literal, tokens } from '@margay/kit/sql'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const texts = (sql: string) => [...tokens(sql)].map((token) => token.text)

describe('tokens of SQL', () => {
  it.each([
    ['select 1', ['select', '1']],
    ["select 'a''b\\'c' , x", ['select', "'a''b\\'c'", ',', 'x']],
    ['a -- ; b\nc # d\n/* ; e */ f', ['a', 'c', 'f']],
    ['select $tag$ ; drop $tag$ x', ['select', '$tag$ ; drop $tag$', 'x']],
    ['select $$;$$', ['select', '$$;$$']],
    ['`a``b` "c""d"', ['`a``b`', '"c""d"']],
    ["select 'never closed; x", ['select', "'never closed; x"]],
    ['select 1 /* never closed; x', ['select', '1', '/* never closed; x']],
    ['a #b\n#! c\nd', ['a', '#', 'b', 'd']],
    ['1.5e3 0xff _a 2nd', ['1.5e3', '0xff', '_a', '2nd']],
  ])('cuts %s', (sql, expected) => {
    expect(texts(sql)).toEqual(expected)
  })

  it.each(["'a", '"a\\"', '`a``', '$x$ a', '/* a', "'a\\'"])('sees that %s is not closed', (sql) => {
    expect([...tokens(`select ${sql}`)].map(({ isClosed }) => isClosed)).toEqual([true, false])
  })

  it('tells how deep a token lies', () => {
    expect([...tokens('a (b [c] d) e')].map((t) => `${t.text}${t.depth}`)).toEqual([
      'a0',
      '(0',
      'b1',
      '[1',
      'c2',
      ']1',
      'd1',
      ')0',
      'e0',
    ])
  })

  it('never loses a character other than white space and comments, and ends for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (sql) => {
        let end = 0
        for (const token of tokens(sql)) {
          expect(token.start).toBeGreaterThanOrEqual(end)
          expect(token.end).toBeGreaterThan(token.start)
          expect(sql.slice(token.start, token.end)).toBe(token.text)
          end = token.end
        }
      }),
    )
  })

  it('reads any literal and any quoted identifier as one token', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(texts(literal(text))).toEqual([literal(text)])
        expect(texts(identifier(text))).toEqual([identifier(text)])
      }),
    )
  })
})
