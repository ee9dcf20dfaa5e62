import type { EventDefinition } from '../events/event.ts'
import type { Expression, Operator, Query, Substitution } from './expression.ts'
import { type Field, fieldsOf, findField } from './field.ts'
import { type Token, tokensOf } from './lexer.ts'
import { operandOf } from './operand.ts'
import { QueryError } from './query-error.ts'
import { suggestion } from './suggestion.ts'

/**
 * The query language of alerts, exceptions, webhooks and the console:
 *
 *     query  := [ expr ]                          empty selects everything
 *     expr   := term { OR term }                  keywords in any case
 *     term   := factor { AND factor }
 *     factor := NOT factor | "(" expr ")" | atom
 *     atom   := key cmp value | key (IN | NOTIN | NOT IN) set | key EMPTY
 *     set    := "{" value { "," value } "}" | "${" name "}"
 *     cmp    := = | != | < | <= | > | >=
 *
 * Keys and values are bare words of [A-Za-z0-9_.:/*?+-] or quoted with " or '.
 */

/** Longest text, deepest nesting and largest set: a query is written by people, and each costs its reader something. */
const limits = { length: 65_536, depth: 100, members: 10_000 }

const operators: readonly string[] = ['=', '!=', '<', '<=', '>', '>=']
const reserved: readonly string[] = ['AND', 'OR', 'NOT', 'IN', 'NOTIN', 'EMPTY']

/** True for words that a query must quote to use them as a name or a value. */
export function isReserved(word: string): boolean {
  return reserved.includes(word.toUpperCase())
}

/** Reads a query over the events of a definition. Throws a QueryError for the first thing that is wrong. */
export function parseQuery(
  text: string,
  definition: EventDefinition,
  options: { readonly substitutions?: readonly Substitution[] } = {},
): Query {
  if (text.length > limits.length)
    throw new QueryError(`a query has at most ${limits.length} characters`, limits.length, text.length - limits.length)
  const tokens = tokensOf(text)
  const substitutions = options.substitutions ?? []
  const used = new Set<string>()
  let index = 0
  let depth = 0

  const expression = peek().kind === 'end' ? null : either()
  const rest = peek()
  if (rest.kind !== 'end') {
    const previous = tokens[index - 1] as Token
    if (rest.kind === 'symbol' && operators.includes(rest.text))
      throw failure('expected AND, OR or the end; a value that contains an operator goes in quotes', rest)
    if (rest.text === ')') throw failure('this bracket closes nothing', rest)
    throw failure(`expected AND, OR or the end after ${previous.text}`, rest)
  }
  const unusedSubstitutions = substitutions.map(({ name }) => name).filter((name) => !used.has(name))
  return { definition, expression, unusedSubstitutions }

  function either(): Expression {
    return chain('or', 'OR', both)
  }

  function both(): Expression {
    return chain('and', 'AND', factor)
  }

  function chain(kind: 'and' | 'or', word: string, operand: () => Expression): Expression {
    const operands = [operand()]
    while (takeWord(word)) operands.push(operand())
    return joined(kind, operands)
  }

  function factor(): Expression {
    depth += 1
    if (depth > limits.depth) throw failure(`nested more than ${limits.depth} deep`, peek())
    try {
      if (takeWord('NOT')) return { kind: 'not', operand: factor() }
      const open = peek()
      if (!takeSymbol('(')) return atom()
      const inner = either()
      if (!takeSymbol(')')) throw failure('this bracket is never closed', open)
      return inner
    } finally {
      depth -= 1
    }
  }

  function atom(): Expression {
    const field = key()
    const token = next()
    if (token.kind === 'symbol' && operators.includes(token.text)) return comparison(field, token)
    if (isWord(token, 'EMPTY')) {
      if (field.many || field.nullable || field.type === 'keyword' || field.type === 'enum')
        return { kind: 'empty', field }
      throw failure(`${field.name} always has a value, so it is never EMPTY`, token)
    }
    if (isWord(token, 'IN')) return membership(field, false)
    if (isWord(token, 'NOTIN') || (isWord(token, 'NOT') && takeWord('IN'))) return membership(field, true)
    throw failure(`expected an operator after ${field.name}: = != < <= > >= IN NOTIN or EMPTY`, token)
  }

  function key(): Field {
    const token = next()
    if ((token.kind !== 'word' && token.kind !== 'string') || (token.kind === 'word' && isReserved(token.text)))
      throw failure(`expected the name of a field${token.kind === 'end' ? '' : `, not ${token.text}`}`, token)
    const field = findField(definition, token.text)
    if (field) return field
    const names = fieldsOf(definition).flatMap(({ name, aliases }) => [name, ...aliases])
    throw failure(`${definition.dataSet} has no field ${token.text}${suggestion(token.text, names)}`, token)
  }

  function comparison(field: Field, operator: Token): Expression {
    const ordering = operator.text !== '=' && operator.text !== '!='
    if (ordering && field.type !== 'number' && field.type !== 'date' && !field.numeric)
      throw failure(
        `${field.name} has no order: ${operator.text} is for numbers and times; use = != IN or NOTIN`,
        operator,
      )
    const token = next()
    if (isWord(token, 'EMPTY') || (token.kind === 'symbol' && token.text === '{'))
      throw failure(`${operator.text} takes one value; for a set use IN, for no value write ${field.name} EMPTY`, token)
    const value = valueOfToken(token)
    check(field, value, ordering ? 'order' : 'equal', token)
    return { kind: 'compare', field, operator: operator.text as Operator, value }
  }

  function membership(field: Field, negated: boolean): Expression {
    const open = next()
    if (open.kind === 'substitution') {
      const found = substitutions.find(({ name }) => name === open.text)
      if (!found) {
        const names = substitutions.map(({ name }) => name)
        throw failure(`no substitution is named ${open.text}${suggestion(open.text, names)}`, open)
      }
      used.add(open.text)
      const values = found.values ?? []
      for (const value of values) check(field, value, 'member', open)
      return { kind: 'in', field, negated, values, substitution: open.text }
    }
    if (open.text !== '{' || open.kind !== 'symbol') throw failure(`expected a set: {a, b} or \${name}`, open)
    const values: string[] = []
    do {
      const token = next()
      const value = valueOfToken(token)
      check(field, value, 'member', token)
      values.push(value)
      if (values.length > limits.members) throw failure(`a set has at most ${limits.members} values`, token)
    } while (takeSymbol(','))
    if (!takeSymbol('}')) throw failure('expected , or } in the set', peek())
    return { kind: 'in', field, negated, values, substitution: null }
  }

  function valueOfToken(token: Token): string {
    if (token.kind === 'string') return token.text
    if (token.kind === 'word' && !/^(AND|OR|NOT)$/i.test(token.text)) return token.text
    if (token.kind === 'substitution') throw failure('a substitution stands for a set: use IN or NOTIN', token)
    throw failure(token.kind === 'end' ? 'expected a value' : `expected a value, not ${token.text}`, token)
  }

  function check(field: Field, value: string, use: 'equal' | 'order' | 'member', token: Token): void {
    const operand = operandOf(field, value, use)
    if (typeof operand === 'string') throw failure(operand, token)
  }

  function peek(): Token {
    return tokens[index] as Token
  }

  function next(): Token {
    const token = peek()
    if (token.kind !== 'end') index += 1
    return token
  }

  function takeWord(word: string): boolean {
    if (!isWord(peek(), word)) return false
    index += 1
    return true
  }

  function takeSymbol(symbol: string): boolean {
    if (peek().kind !== 'symbol' || peek().text !== symbol) return false
    index += 1
    return true
  }
}

/** Operands of the same kind are drawn in, so that brackets which change nothing leave no trace. */
export function joined(kind: 'and' | 'or', operands: readonly Expression[]): Expression {
  const flat = operands.flatMap((operand) => (operand.kind === kind ? operand.operands : [operand]))
  return flat.length === 1 ? (flat[0] as Expression) : { kind, operands: flat }
}

function isWord(token: Token, word: string): boolean {
  return token.kind === 'word' && token.text.toUpperCase() === word
}

function failure(message: string, token: Token): QueryError {
  return new QueryError(message, token.position, token.length)
}
