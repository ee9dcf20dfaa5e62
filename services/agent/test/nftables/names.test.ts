import { expect, test } from 'vitest'
import { actionOfPrefix, logPrefix, type RuleHit, stageOfPrefix } from '../../src/nftables/names.ts'

const hit = (over: Partial<RuleHit> & { name?: string }): RuleHit => ({
  direction: 'ingress',
  stage: 'normal',
  action: 'allow',
  ruleIndex: 0,
  ref: { kind: 'np', tier: 'default', namespace: 'shop', name: over.name ?? 'web' },
  ...over,
})

test('a prefix tells action, direction, rule and policy', () => {
  expect(logPrefix(hit({}))).toBe('API0|default|np|shop|web')
  expect(logPrefix(hit({ action: 'deny', direction: 'egress', ruleIndex: -1 }))).toBe('DPEx|default|np|shop|web')
  expect(actionOfPrefix('PPI3|x')).toBe('pass')
  expect(actionOfPrefix('margay-dns')).toBeNull()
  expect(logPrefix(hit({ stage: 'pre-dnat', ruleIndex: 12 }))).toBe('APIN12|default|np|shop|web')
  expect(logPrefix(hit({ stage: 'forward', ruleIndex: -1 }))).toBe('APIFx|default|np|shop|web')
  const stages = ['pre-dnat', 'normal', 'forward'] as const
  expect(stages.map((stage) => stageOfPrefix(logPrefix(hit({ stage }))))).toEqual(stages)
})

test('a long or odd name ends in a hash, fits the kernel and cannot be mistaken for another', () => {
  const long = logPrefix(hit({ name: 'a'.repeat(200) }))
  expect(long.length).toBeLessThanOrEqual(127)
  expect(long).toMatch(/^API0\|default\|np\|shop\|a+\|[0-9a-f]{16}$/)
  expect(long).not.toBe(logPrefix(hit({ name: 'a'.repeat(201) })))
  expect(logPrefix(hit({ name: 'x"; drop' }))).toMatch(/^[A-Za-z0-9_.|-]+$/)
  // A name that looks like the end of a hashed prefix is hashed itself once it is as long.
  expect(logPrefix(hit({ name: long.slice('API0|default|np|shop|'.length) }))).not.toBe(long)
})
