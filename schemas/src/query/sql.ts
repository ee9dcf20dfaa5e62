import { addressText, timeText } from '../events/selection.ts'
import { quote } from '../events/table.ts'
import { addressText128 } from './address.ts'
import type { Expression, Query } from './expression.ts'
import type { Field, Source } from './field.ts'
import { type Operand, operandOf } from './operand.ts'

/** A piece of SQL and the values of the `{name:Type}` parameters in it. */
export interface BoundSql {
  readonly sql: string
  readonly params: Record<string, unknown>
}

/**
 * The condition of a query for a WHERE clause over the table of its definition. Every value is a bound parameter named
 * `<prefix>0`, `<prefix>1`, ...; identifiers come from the definition alone. A query that selects everything is `1`.
 */
export function querySql(query: Query, prefix = 'p'): BoundSql {
  const params: Record<string, unknown> = {}
  const bind: Bind = (value, type) => {
    const name = `${prefix}${Object.keys(params).length}`
    params[name] = value
    return `{${name}:${type}}`
  }
  return { sql: query.expression === null ? '1' : condition(query.expression, bind, false), params }
}

type Bind = (value: unknown, type: string) => string

/**
 * Below a NOT, a comparison with null must be false and not null. Elsewhere null filters like false, and the plain
 * comparison can use the table's key and indexes.
 */
function condition(expression: Expression, bind: Bind, negated: boolean): string {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return `(${expression.operands.map((one) => condition(one, bind, negated)).join(` ${expression.kind.toUpperCase()} `)})`
    case 'not':
      return `NOT ${condition(expression.operand, bind, true)}`
    case 'empty':
      return emptiness(expression.field, bind)
    case 'in': {
      const { field, values } = expression
      const under = negated || expression.negated
      const test = anySource(field, bind, under, (value) => membership(field, values, value, bind))
      return expression.negated ? `NOT ${test}` : test
    }
    case 'compare': {
      const { field, operator, value } = expression
      if (operator === '=' || operator === '!=') {
        const operand = known(operandOf(field, value, 'equal'))
        const under = negated || operator === '!='
        const test = anySource(field, bind, under, (cell) => equality(operand, cell, bind))
        return operator === '=' ? test : `NOT ${test}`
      }
      const operand = known(operandOf(field, value, 'order'))
      return anySource(field, bind, negated, (cell) => ordering(field, operator, operand, cell, bind))
    }
  }
}

/** A test of one value, asked of every value that the field has; never null when `total`. */
function anySource(field: Field, bind: Bind, total: boolean, test: (value: string) => string): string {
  const tests = field.sources.map((source) => {
    const value = sourceSql(source, bind)
    if (field.many) return `arrayExists(x -> ${test('x')}, ${value})`
    return total && field.nullable ? `ifNull(${test(value)}, false)` : test(value)
  })
  return tests.length === 1 ? (tests[0] as string) : `(${tests.join(' OR ')})`
}

function emptiness(field: Field, bind: Bind): string {
  const tests = field.sources.map((source) => {
    const value = sourceSql(source, bind)
    if (field.many) return `empty(${value})`
    return field.nullable ? `isNull(${value})` : `${value} IN ('', '-')`
  })
  return tests.length === 1 ? (tests[0] as string) : `(${tests.join(' AND ')})`
}

function equality(operand: Operand, value: string, bind: Bind): string {
  switch (operand.kind) {
    case 'text':
      return `${value} = ${bind(operand.text, 'String')}`
    case 'word':
      return `lower(${value}) = ${bind(operand.text, 'String')}`
    case 'pattern':
      return `${operand.fold ? `lower(${value})` : value} LIKE ${bind(likePattern(operand.text), 'String')}`
    case 'number':
      return `${value} = ${bindNumber(operand.value, bind)}`
    case 'boolean':
      return `${value} = ${bind(operand.value, 'Bool')}`
    case 'date':
      return `${value} = ${bindTime(operand.value, bind)}`
    case 'addresses': {
      const { first, last } = operand.range
      if (first === last) return `${value} = ${bind(addressText128(first), 'IPv6')}`
      return `(${value} >= ${bind(addressText128(first), 'IPv6')} AND ${value} <= ${bind(addressText128(last), 'IPv6')})`
    }
  }
}

/** Exact words go into one list; everything else is a test of its own. */
function membership(field: Field, values: readonly string[], value: string, bind: Bind): string {
  const operands = values.map((one) => known(operandOf(field, one, 'member')))
  const tests: string[] = []
  for (const kind of ['text', 'word'] as const) {
    const texts = operands.filter((one) => one.kind === kind).map((one) => (one as { text: string }).text)
    if (texts.length > 0)
      tests.push(`${kind === 'word' ? `lower(${value})` : value} IN ${bind(texts, 'Array(String)')}`)
  }
  for (const one of operands) if (one.kind !== 'text' && one.kind !== 'word') tests.push(equality(one, value, bind))
  if (tests.length === 0) return 'false'
  return tests.length === 1 ? (tests[0] as string) : `(${tests.join(' OR ')})`
}

function ordering(field: Field, operator: string, operand: Operand, value: string, bind: Bind): string {
  if (operand.kind === 'date') return `${value} ${operator} ${bindTime(operand.value, bind)}`
  if (operand.kind !== 'number') throw new RangeError(`${field.name} has no order`)
  const bound = bindNumber(operand.value, bind)
  if (field.type !== 'keyword') return `${value} ${operator} ${bound}`
  return `(match(${value}, '^[0-9]{1,15}$') AND toUInt64OrZero(${value}) ${operator} ${bound})`
}

/** SQL expression of the values of a field, unions joined; only for fields that need no bound key. */
export function fieldSql(field: Field): string {
  const values = field.sources.map((source) =>
    sourceSql(source, () => {
      throw new RangeError(`${field.name} names an entry of a map, which has no expression of its own`)
    }),
  )
  return values.length === 1 ? (values[0] as string) : `arrayConcat(${values.join(', ')})`
}

/** As `fieldSql`, in the JSON form: times and addresses as text. */
export function fieldTextSql(field: Field): string {
  const value = fieldSql(field)
  if (field.type !== 'ip' && field.type !== 'date') return value
  const form = field.type === 'ip' ? addressText : timeText
  return field.many ? `arrayMap(a -> ${form('a')}, ${value})` : form(value)
}

function sourceSql({ column, member, flatten, key }: Source, bind: Bind): string {
  if (key !== undefined) return `${quote(column)}[${bind(key, 'String')}]`
  if (member === undefined) return quote(column)
  const values = `${quote(column)}.${quote(member)}`
  return flatten ? `arrayFlatten(${values})` : values
}

function bindNumber(value: number, bind: Bind): string {
  return bind(value, Number.isSafeInteger(value) ? 'Int64' : 'Float64')
}

function bindTime(milliseconds: number, bind: Bind): string {
  return `fromUnixTimestamp64Milli(${bind(milliseconds, 'Int64')}, 'UTC')`
}

/** The pattern of LIKE for a text with `*` and `?`; its own wildcards are escaped. */
function likePattern(text: string): string {
  return text
    .replace(/[\\%_]/g, '\\$&')
    .replaceAll('*', '%')
    .replaceAll('?', '_')
}

/** The parser has refused every value that does not fit. */
function known(operand: Operand | string): Operand {
  if (typeof operand === 'string') throw new RangeError(operand)
  return operand
}
