import { type AuditEvent, audit, definitions, dns, flow, validateEvent } from '@margay/schemas'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { eventOf } from './arbitrary.ts'

const aFlow = fc.sample(eventOf(flow), { numRuns: 1, seed: 1 })[0] as Record<string, unknown>
const aLookup = fc.sample(eventOf(dns), { numRuns: 1, seed: 1 })[0] as Record<string, unknown>
const aChange: AuditEvent = {
  cluster: 'east',
  host: 'node1',
  name: 'ee_audit',
  auditID: 'a',
  level: 'Metadata',
  stage: 'ResponseComplete',
  verb: 'create',
  requestURI: '/apis',
  user: { username: 'jane' },
  stageTimestamp: 1,
}

test.each(definitions)('a $kind event with every kind of value is valid', (definition) => {
  fc.assert(fc.property(eventOf(definition), (event) => validateEvent(definition, event) === null))
})

test.each([
  [flow, { dest_port: 70_000 }, 'dest_port must be an integer from 0 to 65535 or null'],
  [flow, { source_ip: '10.0.0.256' }, 'source_ip must be an IP address or null'],
  [flow, { action: 'drop' }, 'action must be one of allow, deny'],
  [flow, { source_labels: [1] }, 'source_labels.0 must be string'],
  [flow, { original_source_ips: ['10.0.0.1', 'x'] }, 'original_source_ips.1 must be an IP address'],
  [flow, { bytes_in: 1e300 }, 'bytes_in must be <= 9007199254740991'],
  [flow, { end_time: 1e15 }, 'end_time must be <= 4102444800000'],
  [flow, { cluster: null }, 'cluster must be string'],
] as const)('a %s event with a bad member is refused by name', (definition, change, reason) => {
  expect(validateEvent(definition, { ...aFlow, ...change })).toBe(reason)
})

test('a missing member is refused by name, however deep', () => {
  const { host: _, ...rest } = aFlow
  expect(validateEvent(flow, rest)).toBe('host is missing')
  expect(validateEvent(audit, { ...aChange, user: {} })).toBe('user.username is missing')
  expect(validateEvent(audit, { ...aChange, level: 'All' })).toMatch(/^level must be one of None, /)
  expect(
    validateEvent(dns, { ...aLookup, servers: [{ ip: 'x', name: '', name_aggr: '', namespace: '', labels: [] }] }),
  ).toBe('servers.0.ip must be an IP address')
})

test('what is no object is refused, and members without a column are let through', () => {
  expect(validateEvent(flow, 'x')).toBe('flow must be object')
  expect(validateEvent(flow, { ...aFlow, added_later: 1 })).toBeNull()
  expect(validateEvent(audit, aChange)).toBeNull()
})
