import { matchDomain } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPatternIndex } from '../../src/dns/pattern-index.ts'

const label = fc.constantFrom('a', 'b', 'c')
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const pattern = fc
  .tuple(fc.array(label, { maxLength: 3 }), fc.boolean(), fc.array(label, { maxLength: 3 }))
  .map(([before, star, behind]) => [...before, ...(star ? ['*'] : []), ...behind].join('.'))
  .filter((text) => text !== '')

test('the index finds the patterns that match a name, and no others, also after some are taken out', () => {
  fc.assert(
    fc.property(fc.uniqueArray(pattern), fc.array(name), fc.nat(), (patterns, names, cut) => {
      const index = createPatternIndex<string>()
      for (const text of patterns) index.add(text, text)
      const gone = patterns.slice(0, cut % (patterns.length + 1))
      for (const text of gone) index.remove(text, text)
      for (const text of names)
        expect([...index.owners(text)].sort()).toEqual(
          patterns.filter((p) => !gone.includes(p) && matchDomain(p, text)).sort(),
        )
    }),
  )
})

test('a wildcard does not match the apex, nor a part of a label; case and a trailing dot do not matter', () => {
  const index = createPatternIndex<number>()
  index.add('*.Twilio.com.', 1)
  expect(['api.twilio.com', 'a.b.twilio.com', 'twilio.com', 'apitwilio.com'].map((n) => index.owners(n).size)).toEqual([
    1, 1, 0, 0,
  ])
})
