import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matchDomain } from '../../src/policy/domain.ts'
import { createDomainIndex } from '../../src/policy/domain-index.ts'

const label = fc.constantFrom('a', 'b', 'x', 'com', 'X')
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
const pattern = fc
  .tuple(fc.array(label, { minLength: 1, maxLength: 4 }), fc.option(fc.nat(3)))
  .map(([labels, star]) => labels.map((text, at) => (at === star ? '*' : text)).join('.'))

test('an index of domain patterns finds what trying each pattern finds', () => {
  fc.assert(
    fc.property(fc.array(pattern), fc.array(pattern), fc.array(name), (patterns, gone, names) => {
      const index = createDomainIndex<string>()
      for (const one of [...patterns, ...gone]) index.add(one, one)
      for (const one of gone) index.remove(one, one)
      const left = patterns.filter((one) => !gone.includes(one))
      const expected = left.filter((one) => names.some((given) => matchDomain(one, given)))
      expect([...index.matching(names)].sort()).toEqual([...new Set(expected)].sort())
    }),
    { numRuns: 200 },
  )
})
