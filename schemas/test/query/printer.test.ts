import { audit, definitions, flow, parseQuery, printQuery } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { queryOf } from './arbitrary.ts'

test.each(definitions)('parsing a printed query over $dataSet gives the query back', (definition) => {
  fc.assert(
    fc.property(queryOf(definition), (query) => {
      expect(parseQuery(printQuery(query), definition)).toEqual(query)
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['', ''],
  ['  action=deny  ', 'action = deny'],
  [
    "dest_port='22' and not reporter != src or (proto in {tcp})",
    'dest_port = 22 AND NOT reporter != src OR proto IN {tcp}',
  ],
  [
    '(action=deny or action=allow) and (proto=tcp and dest_port>1)',
    '(action = deny OR action = allow) AND proto = tcp AND dest_port > 1',
  ],
  ['dest_name_aggr not in { "a b", \'it"s\' }', 'dest_name_aggr NOTIN {"a b", "it\\"s"}'],
  ['dest_name = "and"', 'dest_name = "and"'],
  ['node = x', 'host = x'],
  ['source_labels.labels = "app=shop"', 'source_labels = "app=shop"'],
  ['dest_ip empty', 'dest_ip EMPTY'],
  ['source_ip = 10.0.0.0/8', 'source_ip = "10.0.0.0/8"'],
])('%j is written %j', (text, printed) => {
  expect(printQuery(parseQuery(text, flow))).toBe(printed)
})

test('substitutions keep their name', () => {
  const substitutions = [{ name: 'verbs', values: ['create'] }, { name: 'other' }]
  const query = parseQuery("'objectRef.resource' = pods AND verb NOTIN ${verbs}", audit, { substitutions })
  expect(printQuery(query)).toBe('"objectRef.resource" = pods AND verb NOTIN ${verbs}')
  expect(query.unusedSubstitutions).toEqual(['other'])
})
