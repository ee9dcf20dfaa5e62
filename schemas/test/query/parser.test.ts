import { audit, dns, type EventDefinition, flow, l7, parseQuery, QueryError } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'

function failureOf(text: string, definition: EventDefinition): QueryError {
  try {
    parseQuery(text, definition, { substitutions: [{ name: 'approved', values: ['a'] }] })
  } catch (error) {
    if (error instanceof QueryError) return error
    throw error
  }
  throw new Error(`${text} was accepted`)
}

test.each<[EventDefinition, string, string, string]>([
  [flow, 'acton = deny', 'acton', 'flows has no field acton (did you mean action?)'],
  [flow, 'Action = deny', 'Action', 'flows has no field Action (did you mean action?)'],
  [flow, 'action = drop', 'drop', 'action is never "drop", only allow or deny'],
  [flow, 'action = denyy', 'denyy', 'action is never "denyy", only allow or deny (did you mean deny?)'],
  [flow, 'dest_name > a', '>', 'dest_name has no order: > is for numbers and times; use = != IN or NOTIN'],
  [flow, 'dest_ip < "10.0.0.1"', '<', 'dest_ip has no order: < is for numbers and times; use = != IN or NOTIN'],
  [flow, 'dest_port = http', 'http', 'dest_port is compared with numbers; "http" is none'],
  [flow, 'dest_ip = 10.0.0', '10.0.0', 'dest_ip is an IP address; "10.0.0" is neither an address nor a CIDR block'],
  [
    flow,
    'dest_ip IN {"10.*"}',
    '"10.*"',
    'dest_ip is an IP address; "10.*" is neither an address nor a CIDR block; write a range as a CIDR block, like "10.0.0.0/8"',
  ],
  [
    flow,
    'end_time > yesterday',
    'yesterday',
    'end_time is a time: unix seconds, or like "2026-01-31T12:00:00Z"; not "yesterday"',
  ],
  [flow, 'simulated = 1', '1', 'simulated is true or false, not "1"'],
  [flow, 'bytes_in EMPTY', 'EMPTY', 'bytes_in always has a value, so it is never EMPTY'],
  [
    flow,
    'source_labels = app=shop',
    '=',
    'expected AND, OR or the end; a value that contains an operator goes in quotes',
  ],
  [flow, 'action = deny && dest_port = 22', '&&', 'unexpected &&: write AND'],
  [flow, 'action = deny dest_port = 22', 'dest_port', 'expected AND, OR or the end after deny'],
  [flow, 'dest_name = "web', '"web', 'the quote " is never closed'],
  [flow, '(action = deny', '(', 'this bracket is never closed'],
  [flow, 'action = deny)', ')', 'this bracket closes nothing'],
  [flow, 'dest_name IN {a, b', '', 'expected , or } in the set'],
  [flow, 'dest_name IN a', 'a', 'expected a set: {a, b} or ${name}'],
  [flow, 'dest_name = {a}', '{', '= takes one value; for a set use IN, for no value write dest_name EMPTY'],
  [flow, 'dest_name', '', 'expected an operator after dest_name: = != < <= > >= IN NOTIN or EMPTY'],
  [flow, 'action =', '', 'expected a value'],
  [flow, 'action = AND proto = tcp', 'AND', 'expected a value, not AND'],
  [flow, 'AND', 'AND', 'expected the name of a field, not AND'],
  [flow, 'NOT', '', 'expected the name of a field'],
  [flow, 'dest_name = ${approved}', '${approved}', 'a substitution stands for a set: use IN or NOTIN'],
  [dns, 'qname NOTIN ${aproved}', '${aproved}', 'no substitution is named aproved (did you mean approved?)'],
  [audit, 'requestObject = x', 'requestObject', 'audit has no field requestObject'],
])('over %s, %s is refused at %j', (definition, text, part, message) => {
  const error = failureOf(text, definition)
  expect(error.message).toContain(message)
  expect(text.slice(error.position, error.position + error.length)).toBe(part)
})

test('nesting without end is refused, not a crash', () => {
  expect(failureOf(`${'('.repeat(50_000)}action=deny`, flow).message).toBe('nested more than 100 deep')
  expect(failureOf('NOT '.repeat(10_000), flow).message).toBe('nested more than 100 deep')
  expect(failureOf('x'.repeat(70_000), flow).message).toBe('a query has at most 65536 characters')
})

test('no text makes the parser throw anything but a QueryError', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'action',
      'dest_port',
      '=',
      '!=',
      '>',
      'IN',
      'NOT',
      'AND',
      'OR',
      '(',
      ')',
      '{',
      '}',
      ',',
      '"',
      "'",
      '\\',
    ),
    fc.constantFrom(
      '${approved}',
      '22',
      'deny',
      'EMPTY',
      'policies',
      'source_ip',
      '10.0.0.0/33',
      ':::',
      '$',
      '😀',
      '\ud800',
    ),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join(' ')
      try {
        parseQuery(text, flow)
      } catch (error) {
        expect(error).toBeInstanceOf(QueryError)
        const { position, length } = error as QueryError
        expect(position).toBeGreaterThanOrEqual(0)
        expect(position + length).toBeLessThanOrEqual(text.length)
      }
    }),
    { numRuns: 1000 },
  )
})

test('words of the language can be values, and every published spelling of a field is known', () => {
  for (const [definition, text] of [
    [dns, 'qclass = IN AND qclass IN {IN, ANY} AND rtype = A AND "latency.count" > 0 AND latency.max >= 1'],
    [dns, 'rrsets.type = AAAA AND client_labels.labels = "app=x" AND "servers.ip" = "10.0.0.10"'],
    [flow, 'policies = "0|a|b|deny|0" AND policies.all_policies EMPTY AND policies.enforced_policies NOTIN {"*deny*"}'],
    [l7, 'source_namespace = shop AND src_type = wep AND response_code >= 500 AND node = n1'],
    [audit, 'user.extra.scopes = x AND annotations.authorization.k8s.io/decision = allow AND objectRef_name = x'],
  ] as const)
    expect(() => parseQuery(text, definition)).not.toThrow()
})
