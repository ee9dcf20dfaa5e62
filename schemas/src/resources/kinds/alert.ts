import { type Static, Type } from 'typebox'
import { checkAlertAsks, checkEventQuery } from '../alert-rules.ts'
import { parseDuration } from '../duration.ts'
import type { Report } from '../finding.ts'
import { type Check, calico, defineKind } from '../kind.ts'
import type { Resource } from '../resource.ts'
import { formatted, oneOf, optional, status } from '../schema.ts'

const alertSpec = {
  type: optional(oneOf(['RuleBased', 'AnomalyDetection', ''])),
  description: Type.String({ minLength: 1 }),
  summary: optional(Type.String()),
  severity: Type.Integer({ minimum: 1, maximum: 100 }),
  dataSet: optional(oneOf(['flows', 'dns', 'audit', 'l7', 'waf', 'vulnerability'])),
  period: optional(formatted('duration')),
  lookback: optional(formatted('duration')),
  query: optional(Type.String()),
  aggregateBy: optional(Type.Unsafe<string | string[]>(Type.Union([Type.Array(Type.String()), Type.String()]))),
  metric: optional(oneOf(['avg', 'max', 'min', 'sum', 'count'])),
  field: optional(Type.String({ maxLength: 256 })),
  condition: optional(oneOf(['eq', 'not_eq', 'lt', 'lte', 'gt', 'gte'])),
  threshold: optional(Type.Number()),
  substitutions: optional(
    Type.Array(Type.Object({ name: Type.String({ minLength: 1 }), values: optional(Type.Array(Type.String())) })),
  ),
  detector: optional(Type.Object({ name: Type.String() })),
}
const globalAlertSpec = Type.Object(alertSpec)
/** A template is filled in by a person before it becomes an alert: less is required of it. */
const templateSpec = Type.Object({
  ...alertSpec,
  description: optional(Type.String()),
  severity: optional(alertSpec.severity),
})

export type GlobalAlertSpec = Static<typeof globalAlertSpec>

const specOf = (resource: Resource): GlobalAlertSpec => resource.spec as GlobalAlertSpec
const leastPeriod = 60_000
const defaultPeriod = '5m'
const defaultLookback = '10m'

const metricFits: Check = (resource, report) => {
  const { metric, field = '', condition } = specOf(resource)
  if (metric === undefined) {
    if (field !== '') report.error(['spec', 'field'], 'field-needs-metric', 'field needs metric avg, max, min or sum')
    return
  }
  if (metric === 'count' && field !== '')
    report.error(['spec', 'field'], 'count-takes-no-field', 'metric count takes no field')
  if (metric !== 'count' && field === '')
    report.error(['spec', 'field'], 'metric-needs-field', `metric ${metric} needs field`)
  if (condition === undefined) {
    report.error(['spec', 'condition'], 'metric-needs-condition', `metric ${metric} needs condition and threshold`)
  }
}

const dataSetGiven: Check = (resource, report) => {
  const { type, dataSet } = specOf(resource)
  if (type === 'AnomalyDetection') {
    report.warning(['spec', 'type'], 'unsupported-type', 'AnomalyDetection is accepted but never run')
  } else if (dataSet === undefined)
    report.error(['spec', 'dataSet'], 'data-set-required', 'a rule-based alert needs dataSet')
}

const timesFit: Check = (resource, report) => {
  const { period = defaultPeriod, lookback = defaultLookback } = specOf(resource)
  const times = { period: parseDuration(period) ?? 0, lookback: parseDuration(lookback) ?? 0 }
  for (const name of ['period', 'lookback'] as const) {
    if (times[name] < leastPeriod) report.error(['spec', name], 'too-frequent', `${name} must be at least 1m`)
  }
  if (times.lookback < times.period) {
    report.warning(
      ['spec', 'lookback'],
      'lookback-leaves-gaps',
      `lookback ${lookback} is shorter than period ${period}: events between runs are missed`,
    )
  }
}

const substitutionsFit: Check = (resource, report) => {
  const spec = specOf(resource)
  const seen = new Set<string>()
  const text = `${spec.query ?? ''} ${spec.summary ?? ''} ${spec.description ?? ''}`
  for (const [index, { name }] of (spec.substitutions ?? []).entries()) {
    const at = ['spec', 'substitutions', index, 'name']
    if (seen.has(name)) report.error(at, 'unique', `substitution ${name} is given twice`)
    else if (!text.includes(`\${${name}}`))
      report.warning(at, 'substitution-unused', `substitution ${name} is not used`)
    seen.add(name)
  }
}

const asksWhatIsThere: Check = (resource, report) => checkAlertAsks(specOf(resource), report)

function listOfFields(resource: Resource, report: Report): void {
  if (typeof specOf(resource).aggregateBy === 'string') {
    report.warning(['spec', 'aggregateBy'], 'aggregate-by-list', 'aggregateBy is a list; read as a list of one')
  }
}

function completeAlert(resource: Resource): void {
  const spec = specOf(resource)
  if (spec.type === undefined || spec.type === '') spec.type = 'RuleBased'
  spec.period ??= defaultPeriod
  spec.lookback ??= defaultLookback
  completeFields(resource)
}

function completeFields(resource: Resource): void {
  const spec = specOf(resource)
  if (typeof spec.aggregateBy === 'string') spec.aggregateBy = [spec.aggregateBy]
  if (spec.metric !== undefined) spec.threshold ??= 0
}

export const globalAlert = defineKind({
  kind: 'GlobalAlert',
  plural: 'globalalerts',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: globalAlertSpec, status: status() }),
  checks: [metricFits, dataSetGiven, timesFit, substitutionsFit, listOfFields, asksWhatIsThere],
  defaults: completeAlert,
})

export const globalAlertTemplate = defineKind({
  kind: 'GlobalAlertTemplate',
  plural: 'globalalerttemplates',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: templateSpec, status: status() }),
  checks: [listOfFields],
  defaults: completeFields,
})

/** True when the second time is not after the first. */
export function endsBeforeItStarts(start: string | undefined, end: string | undefined): boolean {
  return start !== undefined && end !== undefined && Date.parse(end) <= Date.parse(start)
}

export const alertException = defineKind({
  kind: 'AlertException',
  plural: 'alertexceptions',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({
    spec: Type.Object({
      description: Type.String({ minLength: 1 }),
      selector: Type.String({ minLength: 1 }),
      startTime: formatted('date-time'),
      endTime: optional(formatted('date-time')),
    }),
    status: status(),
  }),
  checks: [
    (resource, report) => {
      const { startTime, endTime } = resource.spec as { startTime: string; endTime?: string }
      if (endsBeforeItStarts(startTime, endTime)) {
        report.error(['spec', 'endTime'], 'end-before-start', 'endTime must be after startTime')
      }
    },
    (resource, report) => checkEventQuery((resource.spec as { selector: string }).selector, 'selector', report),
  ],
})

const keyRef = () =>
  Type.Object({ name: optional(Type.String()), key: Type.String({ minLength: 1 }), optional: optional(Type.Boolean()) })
/** A setting whose value is given, or kept in a ConfigMap or Secret. */
const variable = Type.Object({
  name: Type.String({ minLength: 1 }),
  value: optional(Type.String()),
  valueFrom: optional(Type.Object({ configMapKeyRef: optional(keyRef()), secretKeyRef: optional(keyRef()) })),
})
export type Variable = Static<typeof variable>
export const variables = () => Type.Array(variable)

/** Each variable has a value or a place to read it from, not both. */
export function checkVariables(list: readonly Variable[], at: readonly (string | number)[], report: Report): void {
  for (const [index, { value, valueFrom }] of list.entries()) {
    if ((value === undefined) === (valueFrom === undefined)) {
      report.error([...at, index], 'value-or-value-from', 'give either value or valueFrom')
    } else if (
      valueFrom !== undefined &&
      (valueFrom.configMapKeyRef === undefined) === (valueFrom.secretKeyRef === undefined)
    ) {
      report.error([...at, index, 'valueFrom'], 'value-from', 'give either configMapKeyRef or secretKeyRef')
    }
  }
}

export const securityEventWebhook = defineKind({
  kind: 'SecurityEventWebhook',
  plural: 'securityeventwebhooks',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({
    spec: Type.Object({
      consumer: oneOf(['Slack', 'Jira', 'Generic', 'Alertmanager', 'AlertManager', 'Email']),
      state: oneOf(['Enabled', 'Disabled', 'Debug', 'Test']),
      query: Type.String(),
      config: variables(),
    }),
    status: status(),
  }),
  checks: [
    (resource, report) => checkVariables((resource.spec as { config: Variable[] }).config, ['spec', 'config'], report),
    (resource, report) => checkEventQuery((resource.spec as { query: string }).query, 'query', report),
  ],
})
