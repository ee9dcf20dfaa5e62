import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers } from '../../src/lint/containment.ts'
import { implies } from '../../src/lint/implication.ts'
import { flattenRule } from '../../src/policy/calico-policy.ts'
import type { FlatRule } from '../../src/policy/flat-policy.ts'
import { cidrContains, parseAddress, parseCidr } from '../../src/policy/ip.ts'
import type { Labels } from '../../src/policy/model.ts'
import type { Expression } from '../../src/policy/selector/expression.ts'
import { compileMatcher } from '../../src/policy/selector/matcher.ts'
import { parseExpression } from '../../src/policy/selector/parser.ts'
import type { EntityRuleSpec, RuleSpec } from '../../src/resources/policy-spec.ts'

const isNightly = process.env.MARGAY_NIGHTLY === '1'

describe('one selector implies another', () => {
  const cases: readonly (readonly [narrow: string, wide: string, implied: boolean])[] = [
    ["a == 'x'", 'all()', true],
    ['all()', "a == 'x'", false],
    ["a == 'x' && b == 'y'", "a == 'x'", true],
    ["a == 'x'", "a == 'x' && b == 'y'", false],
    ["a == 'x'", "a in {'x', 'y'}", true],
    ["a in {'x', 'y'}", "a == 'x'", false],
    ["a in {'x', 'y'}", 'has(a)', true],
    ["a == 'x'", "a != 'y'", true],
    ["a == 'x'", "a not in {'y', 'z'}", true],
    ["a != 'x'", "a not in {'x', 'y'}", false],
    ["a not in {'x', 'y'}", "a != 'x'", true],
    ['!has(a)', "a != 'x'", true],
    ["a != 'x'", '!has(a)', false],
    ["a contains 'x'", 'has(a)', true],
    ["a == 'xyz'", "a starts with 'xy'", true],
    ["a == 'x' || a == 'y'", "a in {'x', 'y', 'z'}", true],
    ["a == 'x'", "b == 'y' || a == 'x'", true],
    ["!(a == 'x' || b == 'y')", "a != 'x'", true],
    ["!(a != 'x')", "a == 'x'", true],
    ["a == 'x' && (b == 'y' || c == 'z')", "a == 'x'", true],
  ]
  test.each(cases)('%s ⇒ %s: %s', (narrow, wide, implied) => {
    expect(implies(parseExpression(narrow), parseExpression(wide))).toBe(implied)
  })

  const label = fc.constantFrom('a', 'b')
  const value = fc.constantFrom('x', 'xy', 'y')
  const leaf: fc.Arbitrary<Expression> = fc.oneof(
    label.map((name): Expression => ({ kind: 'has', label: name })),
    fc
      .tuple(label, fc.constantFrom('==' as const, '!=' as const, 'contains' as const, 'starts with' as const), value)
      .map(([name, operator, text]): Expression => ({ kind: 'compare', label: name, operator, value: text })),
    fc
      .tuple(label, fc.boolean(), fc.uniqueArray(value))
      .map(([name, negated, values]): Expression => ({ kind: 'in', label: name, negated, values })),
  )
  const expression = fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      leaf,
      tie('tree').map((operand): Expression => ({ kind: 'not', operand })),
      fc
        .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(tie('tree'), { minLength: 2, maxLength: 3 }))
        .map(([kind, operands]): Expression => ({ kind, operands })),
    ),
  })).tree
  const options = [undefined, 'x', 'xy', 'y', 'z', 'zx']
  const everyLabels = options.flatMap((a) =>
    options.map((b): Labels => ({ ...(a !== undefined && { a }), ...(b !== undefined && { b }) })),
  )

  test('never wrongly: whatever the narrow one selects, the wide one selects', () => {
    let implied = 0
    fc.assert(
      fc.property(expression, expression, (narrow, wide) => {
        if (!implies(narrow, wide)) return
        implied++
        const [inNarrow, inWide] = [compileMatcher(narrow), compileMatcher(wide)]
        for (const labels of everyLabels) if (inNarrow(labels)) expect(inWide(labels)).toBe(true)
      }),
      { numRuns: isNightly ? 1500 : 400 },
    )
    expect(implied).toBeGreaterThan(50)
  })
})

describe('one rule covers another', () => {
  const entity = fc.record<EntityRuleSpec>(
    {
      selector: fc.constantFrom("a == 'x'", 'has(a)', "a in {'x', 'y'}"),
      notSelector: fc.constantFrom("a == 'y'", 'has(b)'),
      nets: fc.constantFrom(['10.0.0.0/8'], ['10.1.0.0/16'], ['10.1.2.3/32', '192.0.2.0/24']),
      notNets: fc.constantFrom(['10.1.0.0/16'], ['10.1.2.0/24']),
    },
    { requiredKeys: [] },
  )
  const ports = fc.record<EntityRuleSpec>(
    { ports: fc.constantFrom([80], ['80:90'], [80, 85, 90]), notPorts: fc.constantFrom([85], ['80:84']) },
    { requiredKeys: [] },
  )
  const rule = fc
    .record({
      head: fc.constantFrom<Partial<RuleSpec>>(
        {},
        { protocol: 'TCP' },
        { protocol: 'UDP' },
        { notProtocol: 'TCP' },
        { protocol: 'ICMP', icmp: { type: 8 } },
        { protocol: 'ICMP', icmp: { type: 8, code: 0 } },
        { ipVersion: 4 },
      ),
      source: entity,
      destination: entity,
      ports,
    })
    .map(({ head, source, destination, ports: list }): RuleSpec => {
      const hasPorts = head.protocol === 'TCP' || head.protocol === 'UDP'
      return { action: 'Allow', ...head, source, destination: { ...destination, ...(hasPorts && list) } }
    })
  /** The same rule without some of its criteria, so wider. */
  const looser = ({ source, destination, ...head }: RuleSpec, dropped: ReadonlySet<string>): RuleSpec => {
    const without = (side: EntityRuleSpec = {}, name: string) =>
      Object.fromEntries(Object.entries(side).filter(([field]) => !dropped.has(`${name}.${field}`)))
    return { ...head, source: without(source, 'source'), destination: without(destination, 'destination') }
  }
  const criteria = ['source', 'destination'].flatMap((side) =>
    ['selector', 'notSelector', 'nets', 'notNets', 'ports', 'notPorts'].map((field) => `${side}.${field}`),
  )

  interface End {
    readonly ip: string
    readonly labels: Labels
  }
  const ends: readonly End[] = [
    { ip: '10.1.2.3', labels: { a: 'x' } },
    { ip: '10.1.9.9', labels: { a: 'y' } },
    { ip: '10.200.0.1', labels: { a: 'x', b: 'z' } },
    { ip: '192.0.2.7', labels: {} },
  ]
  const heads = [
    { protocol: 6, port: 80, type: null },
    { protocol: 6, port: 85, type: null },
    { protocol: 6, port: 90, type: null },
    { protocol: 17, port: 80, type: null },
    { protocol: 1, port: null, type: 8 },
    { protocol: 1, port: null, type: 0 },
  ]

  /** The meaning of a rule, said once more in the plainest way. */
  function matches(given: FlatRule, source: End, destination: End, { protocol, port, type }: (typeof heads)[number]) {
    const side = (entityOf: FlatRule['source'], { ip, labels }: End, at: number | null) => {
      const inside = (nets: readonly string[]) =>
        nets.some((net) => cidrContains(parseCidr(net) as never, parseAddress(ip) as never))
      const holds = (list: FlatRule['source']['ports']) =>
        at !== null && list.ranges.some(({ first, last }) => at >= first && at <= last)
      return (
        (entityOf.selector === null || entityOf.selector.matches(labels)) &&
        (entityOf.notSelector === null || !entityOf.notSelector.matches(labels)) &&
        (entityOf.nets.length === 0 || inside(entityOf.nets)) &&
        !inside(entityOf.notNets) &&
        (entityOf.ports.ranges.length === 0 || holds(entityOf.ports)) &&
        !holds(entityOf.notPorts)
      )
    }
    return (
      (given.protocol === null || given.protocol === protocol) &&
      given.notProtocol !== protocol &&
      (given.icmp === null || given.icmp.type === type) &&
      side(given.source, source, null) &&
      side(given.destination, destination, port)
    )
  }

  test('never wrongly: what the narrow one matches, the wide one matches', () => {
    const flatten = (spec: RuleSpec) => flattenRule(spec, 0, null)
    fc.assert(
      fc.property(rule, rule, (first, second) => {
        const [wide, narrow] = [flatten(first), flatten(second)]
        if (!covers(wide, narrow)) return
        for (const source of ends)
          for (const destination of ends)
            for (const head of heads)
              if (matches(narrow, source, destination, head))
                expect(matches(wide, source, destination, head)).toBe(true)
      }),
      { numRuns: isNightly ? 3000 : 600 },
    )
    fc.assert(
      fc.property(rule, fc.uniqueArray(fc.constantFrom(...criteria)), (given, dropped) => {
        const wide = looser(given, new Set(dropped))
        expect(covers(flatten(wide), flatten(given))).toBe(true)
        const lost = ends.some((source) =>
          ends.some((destination) =>
            heads.some(
              (head) =>
                matches(flatten(wide), source, destination, head) &&
                !matches(flatten(given), source, destination, head),
            ),
          ),
        )
        if (lost) expect(covers(flatten(given), flatten(wide))).toBe(false)
      }),
      { numRuns: isNightly ? 500 : 200 },
    )
  })

  const flat = (spec: Partial<RuleSpec>) => flattenRule({ action: 'Allow', ...spec }, 0, null)
  const destination = (given: EntityRuleSpec, protocol: 'TCP' | 'UDP' = 'TCP') => flat({ protocol, destination: given })
  test.each<[string, FlatRule, FlatRule, boolean]>([
    ['everything covers a port', flat({}), destination({ ports: [80] }), true],
    ['a port covers no other', destination({ ports: [80] }), destination({ ports: [81] }), false],
    [
      'two ranges cover one across them',
      destination({ ports: ['1:10', '11:20'] }),
      destination({ ports: ['5:15'] }),
      true,
    ],
    ['a gap shows', destination({ ports: ['1:10', '12:20'] }), destination({ ports: ['5:15'] }), false],
    ['a wildcard covers a name', destination({ domains: ['*.x.com'] }), destination({ domains: ['a.x.com'] }), true],
    ['but not the apex', destination({ domains: ['*.x.com'] }), destination({ domains: ['x.com'] }), false],
    ['domains do not cover everything', destination({ domains: ['*.x.com'] }), destination({}), false],
    [
      'an HTTP match covers no rule without it',
      flat({ protocol: 'TCP', http: { methods: ['GET'] } }),
      flat({ protocol: 'TCP' }),
      false,
    ],
    [
      'a block covers a smaller one',
      destination({ nets: ['10.0.0.0/8'] }),
      destination({ nets: ['10.1.0.0/16'] }),
      true,
    ],
    ['one family covers not both', flat({ ipVersion: 4 }), flat({}), false],
    ['a family covers its blocks', flat({ ipVersion: 4 }), destination({ nets: ['10.1.0.0/16'] }), true],
  ])('%s', (_, wide, narrow, expected) => {
    expect(covers(wide, narrow)).toBe(expected)
  })
})
