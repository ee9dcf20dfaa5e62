import { expect, test } from 'vitest'
import type { Flow } from '../src/api.ts'
import { endOf, sentenceOf } from '../src/flows/sentence.ts'
import { stagesOf } from '../src/pipeline/stages.ts'
import { ago, size } from '../src/ui/relative-time.ts'
import { searchOf, viewOf } from '../src/view.ts'

const denied = {
  action: 'deny',
  reporter: 'src',
  source_namespace: 'dev',
  source_name: 'netshoot',
  source_name_aggr: 'netshoot',
  dest_namespace: 'default',
  dest_name: '-',
  dest_name_aggr: 'paymentservice-*',
  dest_port: 50051,
  num_flows: 3,
  enforced_policies: ['1|default|default.default-deny|deny|-1', '0|security|security.pass-to-next-tier|pass|0'],
} as unknown as Flow

test('the sentence of a denial names both ends, the side, the tier and how often', () => {
  expect(sentenceOf(denied)).toBe(
    'dev/netshoot → default/paymentservice-*:50051 was denied at the source (egress) at the end of tier default: no rule of default-deny matched, 3 times.',
  )
})

test('the sentence of a rule names the rule', () => {
  const byRule = { ...denied, num_flows: 1, enforced_policies: ['0|security|security.quarantine|deny|1'] }
  expect(sentenceOf(byRule)).toMatch(/by rule 1 of quarantine in tier security, once\.$/)
})

test('a pod of a deployment is its workload, with the random rest apart', () => {
  expect(endOf('default/frontend-7d9f-x2x2x', '10.0.0.1', 'wep', ['app=frontend', 'pod-template-hash=7d9f'])).toEqual({
    main: 'default/frontend',
    rest: '-7d9f-x2x2x',
  })
  expect(endOf('pub', '192.0.2.1', 'net', [])).toEqual({ main: '192.0.2.1', rest: ' pub' })
  expect(endOf('dev/centos', '10.0.0.2', 'wep', ['app=centos'])).toEqual({ main: 'dev/centos', rest: '' })
})

test('the view survives the address', () => {
  const view = { query: 'action = deny AND dest_port = 80', paused: true }
  expect(viewOf(searchOf(view))).toEqual(view)
  expect(searchOf({ query: '', paused: false })).toBe('')
})

test('a stage is as bad as its worst part and says why', () => {
  const service = (name: string, host: string, state: 'ok' | 'degraded' | 'stale', reason = '') => ({
    service: name,
    host,
    state,
    reason,
  })
  const stages = stagesOf({
    cluster: 'c',
    state: 'degraded',
    simulated: false,
    lab: null,
    services: [
      service('agent', 'node1', 'ok'),
      service('agent', 'node2', 'stale'),
      service('store', 'a', 'degraded', 'clickhouse: refused'),
    ],
    log: { state: 'ok', lagEvents: 0, lagSeconds: 12.4 },
    clickhouse: { state: 'down', reason: 'connection refused' },
    flows: { lastMinute: 7, deniedLastMinute: 1 },
  })
  expect(stages.map(({ name, state, detail }) => [name, state, detail])).toEqual([
    ['Agents', 'down', '2 nodes, 7 flows/min'],
    ['Event log', 'ok', '12 s behind'],
    ['Store', 'degraded', ''],
    ['ClickHouse', 'down', ''],
    ['Alerts', 'unknown', ''],
    ['Reports', 'unknown', ''],
  ])
  expect(stages[0]?.reason).toBe('node2: silent for more than 15 s')
})

test('times and sizes read at a glance', () => {
  const now = Date.parse('2030-01-01T00:10:00Z')
  expect(['2030-01-01T00:09:48Z', '2030-01-01T00:05:00Z', '2029-12-31T20:00:00Z'].map((t) => ago(t, now))).toEqual([
    '12 s ago',
    '5 min ago',
    '4 h ago',
  ])
  expect([0, 999, 1200, 5_000_000].map(size)).toEqual(['0 B', '999 B', '1.2 kB', '5.0 MB'])
})
