import { dns, type EventDefinition, flow, l7, matchQuery, parseQuery } from '@margay/schemas'
import { expect, test } from 'vitest'

/*
 * The query language, chapter 1: comparing.
 *
 * A query picks events of one data set: flows, dns, l7, audit, events. The smallest query names a field, an operator
 * and a value. The fields are the columns of the data set, so a query that the parser accepts can always be answered.
 * Alerts, webhooks, exceptions and the console's search box all speak this language; the same text decides about
 * an event that is passing by and about millions that are stored.
 */

/** The part of `events` that a query selects. */
function select<E extends object>(definition: EventDefinition, text: string, events: readonly E[]): E[] {
  const query = parseQuery(text, definition)
  return events.filter((event) => matchQuery(query, event))
}

const web = { action: 'allow', dest_port: 443, dest_ip: '10.0.0.7', dest_labels: ['app=web', 'env=prod'] }
const ssh = { action: 'deny', dest_port: 22, dest_ip: '192.168.1.9', dest_labels: ['app=db', 'env=prod'] }
const ping = { action: 'allow', dest_port: null, dest_ip: '2001:db8::1', dest_labels: [] }
const flows = [web, ssh, ping]

test('an empty query selects everything', () => {
  expect(select(flow, '', flows)).toEqual([web, ssh, ping])
})

test('words of a closed vocabulary are compared without regard to case', () => {
  expect(select(flow, 'action = DENY', flows)).toEqual([ssh])
  expect(select(dns, 'rcode = SERVFAIL', [{ rcode: 'ServFail' }, { rcode: 'NoError' }])).toHaveLength(1)
})

test('numbers may be quoted and are still numbers; null is neither smaller nor greater than any', () => {
  expect(select(flow, "dest_port = '22'", flows)).toEqual([ssh])
  expect(select(flow, 'dest_port >= 100', flows)).toEqual([web])
  expect(select(flow, 'dest_port < 100', flows)).toEqual([ssh])
})

test('values with anything but letters, digits and . : / - * ? go in quotes', () => {
  expect(select(flow, 'dest_labels = "app=web"', flows)).toEqual([web])
})

test('a field of many values equals a value when one of them does, and differs when none does', () => {
  expect(select(flow, 'dest_labels = "env=prod"', flows)).toEqual([web, ssh])
  expect(select(flow, 'dest_labels != "app=web"', flows)).toEqual([ssh, ping])
})

test('an address equals itself however it is written, and every block that holds it', () => {
  expect(select(flow, 'dest_ip = "10.0.0.0/8"', flows)).toEqual([web])
  expect(select(flow, 'dest_ip = "2001:0db8:0:0::1"', flows)).toEqual([ping])
  expect(select(flow, 'dest_ip = "::ffff:10.0.0.7"', flows)).toEqual([web])
})

test('times are unix seconds or RFC 3339', () => {
  const late = { end_time: Date.UTC(2026, 0, 2) }
  const early = { end_time: Date.UTC(2025, 11, 31) }
  expect(select(flow, 'end_time >= "2026-01-01T00:00:00Z"', [early, late])).toEqual([late])
  expect(select(flow, 'end_time < 1767225600', [early, late])).toEqual([early])
})

test('an HTTP status is a word that can be ordered', () => {
  expect(select(l7, 'response_code >= 500', [{ response_code: '503' }, { response_code: '200' }, {}])).toHaveLength(1)
})
