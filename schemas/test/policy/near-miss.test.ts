import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nearMiss, nearMisses, printFault, selectorFaults } from '../../src/policy/selector/near-miss.ts'
import { parseSelector } from '../../src/policy/selector/selector.ts'

const faultOf = (selector: string, labels: Record<string, string>) => {
  const fault = nearMiss(parseSelector(selector), labels)
  return fault === null ? null : printFault(fault)
}

test.each<[string, string, Record<string, string>, string | null]>([
  ['labels that are selected', "app == 'web'", { app: 'web' }, null],
  [
    'a typo in a value',
    "app == 'frontend'",
    { app: 'fronted' },
    'app is "fronted", nearly "frontend" (wanted: app == "frontend")',
  ],
  [
    'a typo in one of several values',
    "app in {'api', 'frontend'}",
    { app: 'frontned' },
    'app is "frontned", nearly "frontend" (wanted: app in {"api", "frontend"})',
  ],
  [
    'a typo in a label',
    "role == 'client'",
    { rol: 'client' },
    'role is missing, but there is rol (wanted: role == "client")',
  ],
  ['a nearly right label with another value', "role == 'client'", { rol: 'server' }, null],
  [
    'a misspelt label of has()',
    'has(quarantine)',
    { quarantin: 'true' },
    expect.stringContaining('there is quarantin'),
  ],
  [
    'one missing label beside one that passes',
    "app == 'web' && role == 'client'",
    { app: 'web' },
    'role is missing (wanted: role == "client")',
  ],
  ['a missing label and nothing that passes', "role == 'client'", { app: 'web' }, null],
  ['two faults', "app == 'web' && role == 'client' && env == 'prod'", { app: 'web' }, null],
  ['another value', "app == 'web' && role == 'client'", { app: 'web', role: 'database' }, null],
  ['short words that differ in more than a third', "app == 'db'", { app: 'wb' }, null],
  ['numbered names', "app == 'web-1'", { app: 'web-2' }, null],
  ['what must not hold', "app == 'web' && !has(frozen)", { app: 'web', frozen: '1' }, null],
  ['labels of the system', "projectcalico.org/namespace == 'shop'", { 'projectcalico.org/namespace': 'shops' }, null],
  [
    'the nearer of two alternatives',
    "(a == 'x' && b == 'y') || app == 'frontend'",
    { app: 'frontent' },
    expect.stringContaining('nearly "frontend"'),
  ],
  ['a negation of alternatives', "!(has(frozen) || app != 'frontend')", { app: 'frontent' }, null],
])('%s', (_, selector, labels, expected) => {
  expect(faultOf(selector, labels)).toEqual(expected)
})

test('a selector that nothing can satisfy says so', () => {
  expect(selectorFaults(parseSelector('!all()'), {}).map(printFault)).toEqual(['nothing passes !all()'])
})

test('near misses are told by their place in the list', () => {
  const list = [{ app: 'web' }, { app: 'wbe' }, { app: 'other' }]
  expect(nearMisses(parseSelector("app == 'web'"), list).map(({ position }) => position)).toEqual([1])
})

test('there are no faults exactly when the selector selects', () => {
  const label = fc.constantFrom('app', 'role')
  const value = fc.constantFrom('', 'web', 'wbe', 'client')
  const leaf = fc.oneof(
    fc.constantFrom('all()', 'has(app)', 'has(role)'),
    fc
      .tuple(label, fc.constantFrom('==', '!=', 'contains', 'starts with'), value)
      .map(([l, o, v]) => `${l} ${o} '${v}'`),
    fc.tuple(label, fc.constantFrom('in', 'not in'), value, value).map(([l, o, a, b]) => `${l} ${o} {'${a}', '${b}'}`),
  )
  const tree = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      leaf,
      tie('tree').map((text) => `!(${text})`),
      fc.tuple(tie('tree'), fc.constantFrom('&&', '||'), tie('tree')).map(([a, o, b]) => `(${a} ${o} ${b})`),
    ),
  })).tree
  fc.assert(
    fc.property(tree, fc.dictionary(label, value), (text, labels) => {
      const selector = parseSelector(text)
      expect(selectorFaults(selector, labels).length === 0).toBe(selector.matches(labels))
    }),
  )
})
