import { expect, test } from 'vitest'
import { validationFindings } from '../../src/lint/lint.ts'
import { lintRules } from '../../src/lint/rules.ts'
import { parseResources } from '../../src/resources/parse.ts'
import { calico, told } from './make.ts'

const alert = (spec: string) => calico('GlobalAlert', 'a', `{description: d, severity: 50, dataSet: flows, ${spec}}`)

test('a lookback that ends where the period began is told, with the flush interval that is configured', () => {
  expect(told('alert-lookback', alert('period: 1m, lookback: 1m'))).toHaveLength(1)
  expect(told('alert-lookback', alert('period: 1m, lookback: 65s'))).toHaveLength(1)
  expect(told('alert-lookback', alert('period: 1m, lookback: 3m'))).toEqual([])
  expect(told('alert-lookback', alert('query: action = deny'))).toEqual([])
  const slow = calico('FelixConfiguration', 'default', '{flowLogsFlushInterval: 5m}')
  expect(told('alert-lookback', slow + alert('period: 1m, lookback: 3m'))).toEqual([
    expect.stringContaining('lookback 3m is not longer than the period 1m and the flush interval 300s'),
  ])
  const audit = alert('period: 1m, lookback: 65s').replace('dataSet: flows', 'dataSet: audit')
  expect(told('alert-lookback', audit)).toEqual([])
})

test('a message whose placeholders a shell took is told', () => {
  for (const summary of [
    "[dns] pod / attempted to access ''",
    '[audit] [privileged access] change detected for  by ',
    '[flows] [lateral movement] / has accessed  in namespace ',
    'process "" started',
  ])
    expect(told('alert-placeholder-lost', alert(`summary: ${JSON.stringify(summary)}`)), summary).toHaveLength(1)
  for (const summary of [
    "[dns] pod ${client_namespace}/${client_name_aggr} attempted to access '${qname}'",
    'Somebody reached paymentservice who has no business there',
    'rate of tcp/udp (per node) is high',
  ])
    expect(told('alert-placeholder-lost', alert(`summary: ${JSON.stringify(summary)}`)), summary).toEqual([])
})

test('an alert that sees arrivals only is told, unless it says that it means them', () => {
  expect(told('alert-one-reporter', alert('query: reporter = dst AND dest_port = 50051'))).toHaveLength(1)
  for (const query of [
    'reporter = dst AND action = allow',
    'reporter = src',
    'reporter = dst OR reporter = src',
    'action = deny',
  ])
    expect(told('alert-one-reporter', alert(`query: ${query}`)), query).toEqual([])
})

test('a report more than twice an hour is told', () => {
  const report = (schedule: string) => calico('GlobalReport', 'r', `{reportType: inventory, schedule: "${schedule}"}`)
  expect(told('report-schedule', report('*/10 * * * *'))).toEqual([expect.stringContaining('makes 6 reports an hour')])
  expect(told('report-schedule', report('*/30 * * * *'))).toEqual([])
  expect(told('report-schedule', report('0 0 * * *'))).toEqual([])
})

test('what the validator says is told once: rules of the linter say some of it better', () => {
  const text = `${alert('period: 5m, lookback: 2m, sumary: x')}${calico('GlobalReport', 'r', '{reportType: inventory, schedule: "*/10 * * * *"}')}---
apiVersion: v1
kind: Widget
metadata: {name: w}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolcy
metadata: {name: w}
`
  const { problems } = parseResources(text, 'a.yaml')
  expect(validationFindings(problems).map(({ line, message }) => `${line} ${message}`)).toEqual([
    '5 unknown field sumary, ignored (did you mean summary?) (unknown-field)',
    '17 unknown kind projectcalico.org/v3 GlobalNetworkPolcy, ignored (did you mean projectcalico.org/v3 GlobalNetworkPolicy?) (unknown-kind)',
  ])
})

test('every rule explains itself', () => {
  const ids = lintRules.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { id, title, why, remedy } of lintRules) {
    expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(title).toMatch(/^[a-z].*[^.]$/)
    for (const text of [why, remedy]) expect(text).toMatch(/^[A-Z`].*[.]$/)
  }
})
