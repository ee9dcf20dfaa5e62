import { all, type Expression } from './expression.ts'
import { type Mark, SelectorError, type Token, tokenize } from './lexer.ts'
import { remembering } from './memo.ts'

/** Deeper nesting is nobody's selector, and would exhaust the stack. */
const deepest = 256

/** Texts of selectors that are remembered with their trees. */
const remembered = 5000

/** Reads a selector into its tree; the empty selector is `all()`. Throws SelectorError. The same text comes in thousands of rules. */
export const parseExpression: (text: string) => Expression = remembering(remembered, read)

function read(text: string): Expression {
  const tokens = tokenize(text)
  let next = 0
  let depth = 0
  const peek = (): Token => tokens[next] as Token
  const accept = (kind: Mark): boolean => {
    if (peek().kind !== kind) return false
    next++
    return true
  }
  const fail = (wanted: string): never => {
    const token = peek()
    throw new SelectorError(`expected ${wanted}, found ${describe(token)}`, token.position)
  }
  const expect = (kind: Mark) => {
    if (!accept(kind)) fail(`"${kind}"`)
  }
  const string = (wanted: string): string => {
    const token = peek()
    if (token.kind !== 'string') return fail(wanted)
    next++
    return token.text
  }

  function list(kind: 'and' | 'or', separator: Mark, item: () => Expression): Expression {
    const operands = [item()]
    while (accept(separator)) operands.push(item())
    return operands.length === 1 ? (operands[0] as Expression) : { kind, operands }
  }
  const or = (): Expression => list('or', '||', and)
  const and = (): Expression => list('and', '&&', operation)

  function operation(): Expression {
    let negated = false
    while (accept('!')) negated = !negated
    const operand = primary()
    return negated ? { kind: 'not', operand } : operand
  }

  function primary(): Expression {
    const token = peek()
    if (accept('(')) {
      if (++depth > deepest) throw new SelectorError(`parentheses nest deeper than ${deepest}`, token.position)
      const inner = or()
      expect(')')
      depth--
      return inner
    }
    if (accept('all')) return all
    if (accept('global')) return { kind: 'global' }
    if (token.kind === 'has') {
      next++
      return { kind: 'has', label: token.text }
    }
    if (token.kind !== 'label') return fail('a label, has(), all() or "("')
    next++
    return test(token.text)
  }

  function test(label: string): Expression {
    const token = peek()
    if (token.kind !== 'operator') return fail('an operator')
    next++
    const { operator } = token
    if (operator !== 'in' && operator !== 'not in') {
      return { kind: 'compare', label, operator, value: string('a quoted string') }
    }
    expect('{')
    const values: string[] = []
    while (!accept('}')) {
      values.push(string('a quoted string or "}"'))
      if (!accept(',')) {
        expect('}')
        break
      }
    }
    return { kind: 'in', label, negated: operator === 'not in', values }
  }

  if (accept('end')) return all
  const expression = or()
  if (peek().kind !== 'end') fail('"&&", "||" or the end')
  return expression
}

function describe(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end'
    case 'label':
      return `label ${token.text}`
    case 'string':
      return `string ${JSON.stringify(token.text)}`
    case 'has':
      return `has(${token.text})`
    case 'operator':
      return `"${token.operator}"`
    default:
      return `"${token.kind}"`
  }
}
