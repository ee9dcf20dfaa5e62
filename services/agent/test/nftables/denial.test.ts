import { expect, test } from 'vitest'
import { type DenialOptions, defaultDenial, denyRules, logRules } from '../../src/nftables/denial.ts'

const match = ['meta l4proto 6', 'th dport 80']
const log = 'log prefix "DPI0|x" group 1 snaplen 80'
const deny = (options: Partial<DenialOptions>, hook: 'filter' | 'other' = 'filter') =>
  denyRules(match, log, { ...defaultDenial, ...options }, hook)

test('a denied packet is told of and dropped, or rejected where the kernel can', () => {
  expect(deny({})).toEqual([[...match, log, 'drop']])
  expect(deny({ action: 'reject' })).toEqual([[...match, log, 'reject']])
  expect(deny({ action: 'reject' }, 'other')).toEqual([[...match, log, 'drop']])
  expect(denyRules(match, null, defaultDenial, 'other')).toEqual([[...match, 'drop']])
})

test('on trial it is told of and passes: allowed where that is the last word, else left to the hooks that follow', () => {
  expect(deny({ passes: true })).toEqual([[...match, log, 'meta mark set meta mark | 65536', 'return']])
  expect(deny({ passes: true, action: 'reject' }, 'other')).toEqual([[...match, log, 'accept']])
})

test('the limit of the kernel log stands before what it limits, never before the denial', () => {
  const limit = 'limit rate 1/minute burst 2 packets'
  const [logged, denied, ...rest] = deny({ isLogged: true, logLimit: limit })
  expect(logged).toEqual([...match, limit, 'log prefix "calico-drop: " level info'])
  expect(denied).toEqual([...match, log, 'drop'])
  expect(rest).toEqual([])
  expect(logRules(match, log, { ...defaultDenial, logLimit: limit, logPrefix: 'mine' })).toEqual([
    [...match, log],
    [...match, limit, 'log prefix "mine: " level info'],
  ])
})
