import { flow, matchQuery, parseQuery, printQuery } from '@margay/schemas'
import { expect, test } from 'vitest'

/*
 * The query language, chapter 3: combining, and what is not there.
 *
 * AND, OR, NOT and brackets combine conditions; NOT binds closest, then AND, then OR. Every condition is true or false,
 * never unknown: a comparison with a value that is not there is false, and its negation therefore true. So a
 * condition and its NOT always share the events out between them, and nothing falls through the middle.
 */

const selects = (text: string, event: object) => matchQuery(parseQuery(text, flow), event)
const canonical = (text: string) => printQuery(parseQuery(text, flow))

test('NOT before AND before OR, and the printer drops brackets that say nothing', () => {
  expect(canonical('not action = allow and proto = tcp or dest_port = 53')).toBe(
    'NOT action = allow AND proto = tcp OR dest_port = 53',
  )
  expect(canonical('((action = allow and (proto = tcp)))')).toBe('action = allow AND proto = tcp')
  expect(canonical('action = allow and (proto = tcp or proto = udp)')).toBe(
    'action = allow AND (proto = tcp OR proto = udp)',
  )
})

test('what is not there differs from everything', () => {
  const aggregated = { source_ip: null, dest_port: null }
  expect(selects('source_ip = "10.0.0.1"', aggregated)).toBe(false)
  expect(selects('source_ip != "10.0.0.1"', aggregated)).toBe(true)
  expect(selects('source_ip NOTIN {"10.0.0.0/8"}', aggregated)).toBe(true)
  expect(selects('dest_port > 1023', aggregated)).toBe(false)
  expect(selects('NOT dest_port > 1023', aggregated)).toBe(true)
})

test('EMPTY asks for what is not there: null, no text, the dash of the logs, no elements', () => {
  expect(selects('source_ip EMPTY', { source_ip: null })).toBe(true)
  expect(selects('source_namespace EMPTY', { source_namespace: '-' })).toBe(true)
  expect(selects('dest_domains EMPTY', { dest_domains: [] })).toBe(true)
  expect(selects('NOT dest_domains EMPTY', { dest_domains: ['example.com'] })).toBe(true)
})

test('policies asks every list of rules of a flow at once', () => {
  const event = {
    enforced_policies: ['0|default|default.allow|allow|0'],
    pending_policies: ['0|default|default.staged:deny|deny|-1'],
  }
  expect(selects('policies IN {"*|deny|*"}', event)).toBe(true)
  expect(selects('policies.enforced_policies IN {"*|deny|*"}', event)).toBe(false)
})
