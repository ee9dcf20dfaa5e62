import { audit, definitionOf, definitions, eventOfRow, flow, rowOf } from '@margay/schemas'
import { expect, test } from 'vitest'

test('an audit event becomes a flat row and nested again', () => {
  const event = {
    cluster: 'east',
    user: { username: 'jane', groups: ['dev'] },
    objectRef: { resource: 'tiers' },
    requestObject: { spec: { order: 1 } },
    stageTimestamp: 5,
  }
  const row = rowOf(audit, event)
  expect(row).toEqual({
    cluster: 'east',
    user_username: 'jane',
    user_groups: ['dev'],
    objectRef_resource: 'tiers',
    requestObject: { spec: { order: 1 } },
    stageTimestamp: 5,
  })
  const stored = { ...row, requestObject: '{"spec":{"order":1}}', responseObject: '', impersonatedUser_uid: '' }
  expect(eventOfRow(audit, stored)).toEqual(event)
})

test('a flow is its own row', () => {
  const event = { cluster: 'east' }
  expect(rowOf(flow, event)).toBe(event)
})

test('definitions are found by kind, data set and table, which are all distinct', () => {
  expect(definitionOf('flow')).toBe(flow)
  expect(definitionOf('flows')).toBe(flow)
  expect(definitionOf('audit')).toBe(audit)
  expect(definitionOf('weather')).toBeNull()
  for (const key of ['kind', 'table', 'dataSet'] as const)
    expect(new Set(definitions.map((one) => one[key])).size).toBe(definitions.length)
})
