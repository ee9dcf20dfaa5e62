import { valueAt } from '../events/row.ts'
import { addressDigits } from './address.ts'
import type { Expression, Query } from './expression.ts'
import type { Field, Source } from './field.ts'
import { lowerCase, type Operand, operandOf } from './operand.ts'

type Test<T> = (value: T) => boolean

const compiled = new WeakMap<Query, Test<object>>()

/**
 * True when a query selects an event, given in its JSON form. It is the same answer as the SQL of `querySql` gives
 * for the stored row: absent is empty text, 0, false or no elements; null equals nothing.
 */
export function matchQuery(query: Query, event: object): boolean {
  let test = compiled.get(query)
  if (!test) {
    test = query.expression === null ? () => true : testOf(query.expression)
    compiled.set(query, test)
  }
  return test(event)
}

function testOf(expression: Expression): Test<object> {
  switch (expression.kind) {
    case 'and': {
      const tests = expression.operands.map(testOf)
      return (event) => tests.every((test) => test(event))
    }
    case 'or': {
      const tests = expression.operands.map(testOf)
      return (event) => tests.some((test) => test(event))
    }
    case 'not': {
      const test = testOf(expression.operand)
      return (event) => !test(event)
    }
    case 'empty':
      return emptiness(expression.field)
    case 'in': {
      const { field, values, negated } = expression
      const tests = values.map((value) => equality(operandOf(field, value, 'member')))
      const test = anyValue(field, (value) => tests.some((one) => one(value)))
      return negated ? (event) => !test(event) : test
    }
    case 'compare': {
      const { field, operator, value } = expression
      if (operator === '=') return anyValue(field, equality(operandOf(field, value, 'equal')))
      if (operator === '!=') {
        const test = anyValue(field, equality(operandOf(field, value, 'equal')))
        return (event) => !test(event)
      }
      return anyValue(field, ordering(operator, operandOf(field, value, 'order'), field))
    }
  }
}

/** True when any value of the field passes. A field of one value has that one, or none when it is null. */
function anyValue(field: Field, test: Test<unknown>): Test<object> {
  const readers = field.sources.map((source) => readerOf(source))
  if (field.many)
    return (event) => readers.some((read) => ((read(event) as readonly unknown[] | undefined) ?? []).some(test))
  const read = readers[0] as (event: object) => unknown
  const absent =
    field.nullable || field.type === 'ip'
      ? null
      : { number: 0, date: 0, boolean: false, keyword: '', enum: '' }[field.type]
  return (event) => {
    const value = read(event) ?? absent
    return value !== null && test(value)
  }
}

function emptiness(field: Field): Test<object> {
  const readers = field.sources.map((source) => readerOf(source))
  if (field.many)
    return (event) => readers.every((read) => ((read(event) as readonly unknown[] | undefined) ?? []).length === 0)
  const read = readers[0] as (event: object) => unknown
  return (event) => {
    const value = read(event) ?? ''
    return value === '' || value === '-'
  }
}

function readerOf({ path, member, flatten, key }: Source): (event: object) => unknown {
  const [head] = path
  const outer =
    path.length === 1
      ? (event: object) => (event as Record<string, unknown>)[head as string]
      : (event: object) => valueAt(event, path)
  if (key !== undefined)
    return (event) => {
      const entries = (outer(event) ?? {}) as Record<string, unknown>
      return Object.hasOwn(entries, key) ? entries[key] : undefined
    }
  if (member === undefined) return outer
  return (event) => {
    const records = (outer(event) as readonly Record<string, unknown>[] | undefined) ?? []
    return flatten ? records.flatMap((record) => record[member]) : records.map((record) => record[member])
  }
}

function equality(operand: Operand | string): Test<unknown> {
  if (typeof operand === 'string') throw new RangeError(operand)
  switch (operand.kind) {
    case 'text':
      return (value) => value === operand.text
    case 'word':
      return (value) => lowerCase(value as string) === operand.text
    case 'pattern': {
      const pattern = patternOf(operand.text)
      return operand.fold
        ? (value) => pattern.test(lowerCase(value as string))
        : (value) => pattern.test(value as string)
    }
    case 'number':
    case 'boolean':
      return (value) => value === operand.value
    case 'date':
      return (value) => millisecondsOf(value) === operand.value
    case 'addresses': {
      const { first, last } = operand.range
      return (value) => {
        const digits = addressDigits(value as string)
        return digits !== null && digits >= first && digits <= last
      }
    }
  }
}

function ordering(operator: '<' | '<=' | '>' | '>=', operand: Operand | string, field: Field): Test<unknown> {
  if (typeof operand === 'string') throw new RangeError(operand)
  if (operand.kind !== 'number' && operand.kind !== 'date') throw new RangeError(`${field.name} has no order`)
  const bound = operand.value
  const compare = {
    '<': (value: number) => value < bound,
    '<=': (value: number) => value <= bound,
    '>': (value: number) => value > bound,
    '>=': (value: number) => value >= bound,
  }[operator]
  if (field.type === 'date') return (value) => compare(millisecondsOf(value))
  if (field.type === 'keyword') return (value) => /^\d{1,15}$/.test(value as string) && compare(Number(value))
  return (value) => compare(value as number)
}

/** Events carry milliseconds; HTTP answers carry text. */
function millisecondsOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : (value as number)
}

/** A regular expression for a text with `*` (any characters) and `?` (one character). */
function patternOf(text: string): RegExp {
  const source = text
    .replace(/[\\^$.|+()[\]{}/]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'su')
}
