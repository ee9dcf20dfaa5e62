import { readAlert } from '@margay/alerts/alert'
import { compile, hitsOf } from '@margay/alerts/statement'
import { describe, expect, it } from 'vitest'

const anAlert = (spec: object) =>
  readAlert({
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalAlert',
    metadata: { name: 'test', uid: 'u1' },
    spec: { severity: 100, description: 'd', ...spec },
  })
const options = { database: 'margay', maxEvents: 3 }
const statementOf = (spec: object) => compile(anAlert(spec), options)

describe('the statement of an alert', () => {
  it('sums a field for each group and compares in SQL, values bound', () => {
    const statement = statementOf({
      dataSet: 'flows',
      query: '"source_labels.labels" = "app=monitor" AND proto = tcp AND reporter = dst',
      aggregateBy: ['source_namespace', 'source_name_aggr'],
      metric: 'sum',
      field: 'num_flows',
      condition: 'gt',
      threshold: 0.5,
    })
    expect(statement.sql).toContain('GROUP BY g0, g1 HAVING ifNull(sum(measured), 0) > {threshold:Float64}')
    expect(statement.sql).toContain('FROM `margay`.`flows` WHERE `end_time` > fromUnixTimestamp64Milli({from:Int64}')
    expect(statement.sql.endsWith('ORDER BY metric DESC, g0, g1 LIMIT 4')).toBe(true)
    expect(statement.sql).not.toContain('app=monitor')
    expect(Object.values(statement.params)).toContain('app=monitor')
    expect(statement.params.threshold).toBe(0.5)
    expect(statement.topic).toBe('margay.flow.v1')
  })

  it('takes every duration that the API accepts', () => {
    expect(anAlert({ dataSet: 'dns', period: '+1.5m', lookback: '.5h' })).toMatchObject({
      periodMs: 90_000,
      lookbackMs: 1_800_000,
    })
  })

  it('keeps whole rows when it neither groups nor measures', () => {
    const { sql, groupBy } = statementOf({ dataSet: 'dns', query: 'rcode = SERVFAIL' })
    expect(groupBy).toBeNull()
    expect(sql).toContain('place_log_offset')
    expect(sql).toContain('LIMIT 4')
  })

  it('asks for rows before it compares the greatest of none', () => {
    expect(statementOf({ dataSet: 'dns', metric: 'max', field: 'count', condition: 'lt', threshold: 5 }).sql).toContain(
      'HAVING count() > 0 AND max(measured) < {threshold:Float64}',
    )
    expect(statementOf({ dataSet: 'dns', metric: 'count', condition: 'lt', threshold: 5 }).sql).toContain(
      'HAVING count() < {threshold:Float64}',
    )
  })

  it('counts a row for each value of a field with several', () => {
    expect(statementOf({ dataSet: 'dns', aggregateBy: 'servers.ip' }).sql).toContain('arrayJoin(emptyArrayToSingle(')
  })

  it.each([
    [{ dataSet: 'vulnerability' }, 'ALERT_DATA_SET_UNAVAILABLE', 'not available'],
    [{ dataSet: 'flows', query: 'nonsense = 1' }, 'ALERT_INVALID', 'nonsense'],
    [{ dataSet: 'flows', aggregateBy: ['nowhere'] }, 'ALERT_INVALID', 'no field "nowhere"'],
    [{ dataSet: 'flows', metric: 'sum', field: 'action', condition: 'gt' }, 'ALERT_INVALID', 'numeric'],
    [{ dataSet: 'flows', query: `action IN ${'$'}{missing}` }, 'ALERT_INVALID', 'missing'],
  ])('refuses %j', (spec, code, text) => {
    expect(() => statementOf(spec)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }))
  })

  it('names the fields of a hit as the alert does, with the metric, and tells when it was cut off', () => {
    const statement = statementOf({
      dataSet: 'audit',
      aggregateBy: ['objectRef.name', 'objectRef.resource'],
      metric: 'count',
      condition: 'gt',
    })
    const rows = ['a', 'b', 'c', 'd'].map((name) => ({ g0: name, g1: 'tiers', metric: 2, is_simulated: name === 'b' }))
    const found = hitsOf(statement, rows)
    expect(found.isTruncated).toBe(true)
    expect(found.hits.map(({ record, isSimulated }) => ({ ...record, isSimulated }))).toEqual(
      ['a', 'b', 'c'].map((name) => ({
        'objectRef.name': name,
        'objectRef.resource': 'tiers',
        count: 2,
        isSimulated: name === 'b',
      })),
    )
  })
})
