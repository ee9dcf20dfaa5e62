import type { Column, EventDefinition } from '@margay/schemas'
import fc from 'fast-check'

/** A small vocabulary, so that random queries and random events often speak of the same things. */
export const words = [
  '',
  '-',
  '*',
  'shop',
  'cart-*',
  'pub',
  'app=shop',
  'ALLOW',
  'it\'s "x"',
  'a\\b',
  'ünï\n.+',
  '404',
  '22',
]
export const addresses = [
  '10.0.0.1',
  '10.0.0.200',
  '192.168.1.1',
  '::1',
  '2001:db8::7',
  '::ffff:0:0:1',
  '255.255.255.255',
]
/** Around noon of one day, on whole seconds and off them. */
export const times = [1_767_268_800_000, 1_767_268_800_001, 1_767_268_860_000, 1_767_268_799_999]
export const integers = [0, 1, 2, 22, 80, 404]

const word = fc.constantFrom(...words)
const address = fc.constantFrom(...addresses)
const value = fc.oneof(fc.constantFrom(...integers), fc.integer({ min: 0, max: 65_535 }))

/** Values of one column, in the JSON form. */
function cellOf(column: Column): fc.Arbitrary<unknown> {
  switch (column.query) {
    case 'keyword':
    case 'none':
      return word
    case 'enum': {
      const known = fc.constantFrom(...(column.values ?? []))
      return column.open
        ? fc.oneof(
            known,
            word,
            known.map((one) => one.toUpperCase()),
          )
        : known
    }
    case 'number':
      if (column.clickhouse === 'UInt8') return fc.integer({ min: 1, max: 100 })
      return column.clickhouse.startsWith('Nullable') ? fc.option(value) : value
    case 'ip':
      return column.clickhouse.startsWith('Nullable') ? fc.option(address) : address
    case 'date':
      return fc.constantFrom(...times)
    case 'boolean':
      return fc.boolean()
    case 'keywords':
      return fc.array(word, { maxLength: 3 })
    case 'numbers':
      return fc.array(value, { maxLength: 3 })
    case 'ips':
      return fc.array(address, { maxLength: 3 })
    case 'nested':
      return fc.array(membersOf(column.members ?? {}), { maxLength: 2 })
    case 'map':
      return fc.dictionary(fc.constantFrom('a', 'b/c.d'), word, { maxKeys: 2 })
    case 'maps':
      return fc.dictionary(fc.constantFrom('a', 'b/c.d'), fc.array(word, { minLength: 1, maxLength: 2 }), {
        maxKeys: 2,
      })
    case 'json':
      return fc.oneof(
        fc.dictionary(fc.constantFrom('x', 'y'), fc.oneof(word, value, fc.boolean(), fc.constant(null)), {
          minKeys: 1,
        }),
        fc.array(fc.oneof(word, value), { minLength: 1, maxLength: 2 }),
      )
  }
}

/** Events of a definition, optional members sometimes left out. */
export function eventOf(definition: EventDefinition): fc.Arbitrary<Record<string, unknown>> {
  return membersOf(definition.columns).map((flat) => {
    const event: Record<string, unknown> = {}
    for (const [name, member] of Object.entries(flat)) {
      const path = (definition.columns[name]?.path ?? name).split('.')
      let target = event
      for (const step of path.slice(0, -1)) {
        target[step] ??= {}
        target = target[step] as Record<string, unknown>
      }
      target[path.at(-1) as string] = member
    }
    return event
  })
}

function membersOf(columns: Readonly<Record<string, Column>>): fc.Arbitrary<Record<string, unknown>> {
  const required = Object.keys(columns).filter((name) => !('~optional' in (columns[name] as Column).schema))
  const entries = Object.entries(columns).map(([name, column]) => [name, cellOf(column)] as const)
  return fc.record(Object.fromEntries(entries), { requiredKeys: required, noNullPrototype: true } as never)
}
