import {
  type EventDefinition,
  type Expression,
  type Field,
  fieldsOf,
  findField,
  joined,
  type Query,
} from '@margay/schemas'
import fc from 'fast-check'
import { addresses, integers, times, words } from '../events/arbitrary.ts'

/** Random queries over a data set, in the form that the parser gives; values often occur in random events. */
export function queryOf(definition: EventDefinition): fc.Arbitrary<Query> {
  const fields = fieldsOf(definition).map((field) =>
    field.keyed ? (findField(definition, field.name.replace('*', 'b/c.d')) as Field) : field,
  )
  const atom = fc.constantFrom(...fields).chain(atomOf)
  const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      atom,
      fc
        .tuple(fc.constantFrom('and', 'or'), fc.array(tie('tree'), { minLength: 2, maxLength: 3 }))
        .map(([kind, operands]) => joined(kind, operands)),
      tie('tree').map((operand) => ({ kind: 'not' as const, operand })),
    ),
  }))
  return fc.option(tree, { freq: 50 }).map((expression) => ({ definition, expression, unusedSubstitutions: [] }))
}

function atomOf(field: Field): fc.Arbitrary<Expression> {
  const value = writtenValue(field)
  const choices: fc.Arbitrary<Expression>[] = [
    fc.record({ kind: fc.constant('compare'), field: fc.constant(field), operator: fc.constantFrom('=', '!='), value }),
    fc.record({
      kind: fc.constant('in'),
      field: fc.constant(field),
      negated: fc.boolean(),
      values: fc.array(fc.oneof(value, patternFor(field) ?? value), { minLength: 1, maxLength: 3 }),
      substitution: fc.constant(null),
    }),
  ]
  if (field.type === 'number' || field.type === 'date' || field.numeric)
    choices.push(
      fc.record({
        kind: fc.constant('compare'),
        field: fc.constant(field),
        operator: fc.constantFrom('<', '<=', '>', '>='),
        value: field.numeric ? fc.constantFrom(...integers).map(String) : value,
      }),
    )
  if (field.many || field.nullable || field.type === 'keyword' || field.type === 'enum')
    choices.push(fc.constant({ kind: 'empty', field }))
  return fc.oneof(...choices)
}

function writtenValue(field: Field): fc.Arbitrary<string> {
  switch (field.type) {
    case 'keyword':
      return fc.constantFrom(...words)
    case 'enum':
      return field.open
        ? fc.constantFrom(...words, ...field.values)
        : fc.constantFrom(...field.values).map((one) => one.toUpperCase())
    case 'number':
      return fc.oneof(fc.constantFrom(...integers).map(String), fc.constantFrom('-1', '22.5', '1e2', '70000'))
    case 'date':
      return fc.oneof(
        fc.constantFrom(...times).map((time) => new Date(time).toISOString()),
        fc.constantFrom(...times).map((time) => String(time / 1000)),
        fc.constant('2026-01-01'),
      )
    case 'boolean':
      return fc.constantFrom('true', 'false', 'TRUE')
    case 'ip':
      return fc.constantFrom(...addresses, '::ffff:10.0.0.1', '10.0.0.0/24', '0.0.0.0/0', '::/0', '2001:db8::/32')
  }
}

/** Wildcards; undefined for fields that take none. */
function patternFor(field: Field): fc.Arbitrary<string> | undefined {
  if (field.type !== 'keyword' && field.type !== 'enum') return undefined
  return fc.constantFrom('*', '?', '??', 'shop*', '*op', '*o?*', '?\n*', 'a\\*', '*.+', '*"x?', 'A*', '%*', '_*', '*n*')
}
