import { MargayError, messageOf } from '@margay/kit/errors'
import {
  definitionOf,
  type EventDefinition,
  eventOfRow,
  type Field,
  fieldSql,
  fieldTextSql,
  findField,
  parseQuery,
  querySql,
  quote,
  selectList,
  topicOf,
} from '@margay/schemas'
import type { Alert, Condition } from './alert.ts'
import { groupHit, type Hit, rowHit } from './hit.ts'

/**
 * The SQL of an alert. The parameters `from` and `to` (Int64, unix ms) are bound for each window.
 * One row more than may be raised is asked for, so that a cut is seen.
 */
export interface Statement {
  readonly definition: EventDefinition
  /** Topic whose events the table holds. */
  readonly topic: string
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Fields of the group as the alert names them; null when each row is a hit. */
  readonly groupBy: readonly string[] | null
  /** Name of the metric; null without one. */
  readonly metric: string | null
  readonly maxEvents: number
}

/** What a window held. */
export interface Found {
  readonly hits: readonly Hit[]
  /** True when there was more than may be raised. */
  readonly isTruncated: boolean
}

const comparisons: Readonly<Record<Condition, string>> = {
  eq: '=',
  not_eq: '!=',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
}
const places = ['log_partition', 'log_offset', 'log_index'] as const

/**
 * Compiles an alert (spec 1.6). Values are bound parameters, names come from the definition of the data set.
 * Throws ALERT_DATA_SET_UNAVAILABLE or ALERT_INVALID.
 */
export function compile(alert: Alert, options: { readonly database: string; readonly maxEvents: number }): Statement {
  const definition = definitionOf(alert.dataSet)
  if (definition === null)
    throw new MargayError(
      'ALERT_DATA_SET_UNAVAILABLE',
      `alert ${alert.name}: data set ${JSON.stringify(alert.dataSet)} is not available; use flows, dns, l7 or audit`,
    )
  try {
    const query = querySql(parseQuery(alert.query, definition, { substitutions: alert.substitutions }))
    const table = `${quote(options.database)}.${quote(definition.table)}`
    const time = quote(definition.timeColumn)
    const where = `${time} > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ${time} <= fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND ${query.sql}`
    const common = { definition, topic: topicOf(definition), metric: alert.metric, maxEvents: options.maxEvents }
    const limit = `LIMIT ${options.maxEvents + 1}`
    if (alert.aggregateBy.length === 0 && alert.metric === null) {
      const rows = `SELECT * FROM ${table} WHERE ${where} ORDER BY ${time} ${limit}`
      const list = places.map((place) => `${place} AS place_${place}`)
      const sql = `SELECT ${selectList(definition)}, ${places.map((place) => `place_${place}`).join(', ')} FROM (SELECT *, ${list.join(', ')} FROM (${rows}))`
      return { ...common, sql, params: query.params, groupBy: null }
    }
    const { sql, params } = groups(alert, definition, `${table} WHERE ${where}`)
    return { ...common, sql: `${sql} ${limit}`, params: { ...query.params, ...params }, groupBy: alert.aggregateBy }
  } catch (cause) {
    throw new MargayError('ALERT_INVALID', `alert ${alert.name}: ${messageOf(cause)}`, { cause })
  }
}

function groups(
  alert: Alert,
  definition: EventDefinition,
  from: string,
): { sql: string; params: Record<string, unknown> } {
  const keys = alert.aggregateBy.map((name, index) => `${keySql(fieldNamed(definition, name))} AS g${index}`)
  const names = keys.map((_, index) => `g${index}`)
  const metric = metricSql(alert)
  const measured = alert.field === null ? [] : [`${numberSql(definition, alert.field)} AS measured`]
  const rows = `SELECT ${[...keys, ...measured, 'simulated AS seen_by_lab'].join(', ')} FROM ${from}`
  const list = [
    ...names,
    ...(metric === null ? [] : [`toFloat64(${metric}) AS metric`]),
    'max(seen_by_lab) AS is_simulated',
  ]
  const having = metric === null ? '' : ` HAVING ${conditionSql(alert, metric)}`
  const grouping = names.length === 0 ? '' : ` GROUP BY ${names.join(', ')}`
  const order = [...(metric === null ? [] : ['metric DESC']), ...names].join(', ')
  return {
    sql: `SELECT ${list.join(', ')} FROM (${rows})${grouping}${having} ORDER BY ${order}`,
    params: metric === null ? {} : { threshold: alert.threshold },
  }
}

/** A row counts for each value of a field with several; without a value it counts for the empty one. */
function keySql(field: Field): string {
  return field.many ? `arrayJoin(emptyArrayToSingle(${fieldTextSql(field)}))` : fieldTextSql(field)
}

function metricSql({ metric }: Alert): string | null {
  if (metric === null) return null
  if (metric === 'count') return 'count()'
  return metric === 'sum' ? 'ifNull(sum(measured), 0)' : `${metric}(measured)`
}

/** Without rows a count and a sum are 0; other metrics do not exist and meet no condition. */
function conditionSql({ metric, condition }: Alert, sql: string): string {
  const test = `${sql} ${comparisons[condition]} {threshold:Float64}`
  return metric === 'count' || metric === 'sum' ? test : `count() > 0 AND ${test}`
}

function numberSql(definition: EventDefinition, name: string): string {
  const field = fieldNamed(definition, name)
  if (field.type !== 'number' || field.many)
    throw new RangeError(`${name} is not a number; a metric needs a numeric field`)
  return fieldSql(field)
}

function fieldNamed(definition: EventDefinition, name: string): Field {
  const field = findField(definition, name)
  if (field === null) throw new RangeError(`${definition.dataSet} has no field ${JSON.stringify(name)}`)
  return field
}

/** The hits in the rows that the statement gave. */
export function hitsOf(statement: Statement, rows: readonly Readonly<Record<string, unknown>>[]): Found {
  const { groupBy, metric, maxEvents, definition } = statement
  const kept = rows.slice(0, maxEvents)
  const hits = kept.map((row) => {
    if (groupBy === null)
      return rowHit(eventOfRow(definition, row), [definition.kind, ...places.map((place) => row[`place_${place}`])])
    const group = Object.fromEntries(groupBy.map((name, index) => [name, row[`g${index}`] ?? null]))
    return groupHit(
      group,
      metric === null ? {} : { [metric]: row.metric },
      Number(row.is_simulated) === 1 || row.is_simulated === true,
    )
  })
  return { hits, isTruncated: rows.length > maxEvents }
}
