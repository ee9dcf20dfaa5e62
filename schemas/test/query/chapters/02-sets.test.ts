import { audit, dns, flow, matchQuery, parseQuery } from '@margay/schemas'
import { expect, test } from 'vitest'

/*
 * The query language, chapter 2: sets.
 *
 * IN asks whether a field has one of several values, NOTIN (or NOT IN) whether it has none of them. Inside a set, and
 * only there, `*` stands for any characters and `?` for exactly one. A set can have a name: an alert lists the values
 * once as a substitution, and its query says ${name}.
 */

const selects = (text: string, event: object, definition = dns) => matchQuery(parseQuery(text, definition), event)

test('a set of exact values', () => {
  expect(selects('qtype IN {A, AAAA}', { qtype: 'AAAA' })).toBe(true)
  expect(selects('qtype NOTIN {A, AAAA}', { qtype: 'AAAA' })).toBe(false)
  expect(selects('qtype not in {A, AAAA}', { qtype: 'TXT' })).toBe(true)
})

test('wildcards cover the whole value', () => {
  expect(selects('qname IN {"*.example.com"}', { qname: 'a.b.example.com' })).toBe(true)
  expect(selects('qname IN {"*.example.com"}', { qname: 'example.com' })).toBe(false)
  expect(selects('qname IN {"ns?.example.com"}', { qname: 'ns1.example.com' })).toBe(true)
  expect(selects('qname IN {"ns?.example.com"}', { qname: 'ns10.example.com' })).toBe(false)
})

test('outside a set a star is a star: it is how a flow says that its process was aggregated', () => {
  expect(selects('process_name = "*"', { process_name: '/usr/bin/curl' }, flow as never)).toBe(false)
  expect(selects('process_name = "*"', { process_name: '*' }, flow as never)).toBe(true)
})

test('a named set', () => {
  const substitutions = [{ name: 'approved', values: ['*.internal', 'example.com'] }]
  const query = parseQuery('qname NOTIN ${approved}', dns, { substitutions })
  expect(matchQuery(query, { qname: 'db.internal' })).toBe(false)
  expect(matchQuery(query, { qname: 'evil.example' })).toBe(true)
})

test('members of lists of records are fields too, and hold what all records hold', () => {
  const answer = {
    rrsets: [
      { name: 'a.example', type: 'CNAME', class: 'IN', rdata: ['b.example'] },
      { name: 'b.example', type: 'A', class: 'IN', rdata: ['10.0.0.1', '10.0.0.2'] },
    ],
  }
  expect(selects('rrsets.rdata = "10.0.0.2"', answer)).toBe(true)
  expect(selects('rtype IN {cname}', answer)).toBe(true)
  expect(selects('rrsets.rdata NOTIN {"10.*"}', answer)).toBe(false)
})

test('fields of nested objects are named with dots', () => {
  const change = {
    verb: 'delete',
    objectRef: { resource: 'networkpolicies' },
    annotations: { 'reason.io/ticket': 'T-1' },
  }
  expect(selects('"objectRef.resource" = networkpolicies AND verb IN {create, delete}', change, audit as never)).toBe(
    true,
  )
  expect(selects('annotations.reason.io/ticket = "T-1"', change, audit as never)).toBe(true)
})
