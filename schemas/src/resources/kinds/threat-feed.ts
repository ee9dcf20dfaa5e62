import { type Static, Type } from 'typebox'
import { parseDuration } from '../duration.ts'
import { type Check, calico, defineKind } from '../kind.ts'
import type { Resource } from '../resource.ts'
import { formatted, oneOf, optional, status, stringMap } from '../schema.ts'
import { checkVariables, variables } from './alert.ts'

const csv = Type.Object({
  fieldNum: optional(Type.Integer({ minimum: 0 })),
  fieldName: optional(Type.String({ minLength: 1 })),
  header: optional(Type.Boolean()),
  columnDelimiter: optional(Type.String({ minLength: 1, maxLength: 1 })),
  commentDelimiter: optional(Type.String({ minLength: 1, maxLength: 1 })),
  recordSize: optional(Type.Integer({ minimum: 1 })),
  disableRecordSizeValidation: optional(Type.Boolean()),
})
const format = Type.Object({
  newlineDelimited: optional(Type.Object({})),
  json: optional(Type.Object({ path: Type.String({ minLength: 1 }) })),
  csv: optional(csv),
})
const spec = Type.Object({
  content: optional(oneOf(['IPSet', 'DomainNameSet'])),
  mode: optional(oneOf(['Enabled', 'Disabled'])),
  description: optional(Type.String({ maxLength: 256 })),
  feedType: optional(oneOf(['Builtin', 'Custom'])),
  globalNetworkSet: optional(Type.Object({ labels: optional(stringMap()) })),
  pull: optional(
    Type.Object({
      period: optional(formatted('duration')),
      http: Type.Object({ url: formatted('http-url'), format: optional(format), headers: optional(variables()) }),
    }),
  ),
})

export type GlobalThreatFeedSpec = Static<typeof spec>

const specOf = (resource: Resource): GlobalThreatFeedSpec => (resource.spec ?? {}) as GlobalThreatFeedSpec
const leastPeriod = 300_000

const pullHolds: Check = (resource, report) => {
  const { pull } = specOf(resource)
  if (pull === undefined) return
  if (pull.period !== undefined && (parseDuration(pull.period) ?? 0) < leastPeriod) {
    report.error(['spec', 'pull', 'period'], 'too-frequent', 'period must be at least 5m')
  }
  const { format: given, headers } = pull.http
  checkVariables(headers ?? [], ['spec', 'pull', 'http', 'headers'], report)
  if (given === undefined) return
  const at = ['spec', 'pull', 'http', 'format']
  if (Object.keys(given).length > 1) report.error(at, 'one-format', 'give one of newlineDelimited, json and csv')
  const { csv: columns } = given
  if (columns === undefined) return
  if ((columns.fieldNum === undefined) === (columns.fieldName === undefined)) {
    report.error([...at, 'csv'], 'csv-field', 'give either fieldNum or fieldName')
  }
  if (columns.fieldName !== undefined && columns.header !== true) {
    report.error([...at, 'csv', 'fieldName'], 'csv-header', 'fieldName needs header: true')
  }
  if (columns.recordSize !== undefined && columns.disableRecordSizeValidation) {
    report.error(
      [...at, 'csv', 'recordSize'],
      'csv-record-size',
      'recordSize and disableRecordSizeValidation exclude each other',
    )
  }
}

const networkSetFits: Check = (resource, report) => {
  const { content, globalNetworkSet, pull } = specOf(resource)
  if (globalNetworkSet === undefined) return
  if (content === 'DomainNameSet') {
    report.error(['spec', 'globalNetworkSet'], 'domains-have-no-network-set', 'globalNetworkSet needs content IPSet')
  }
  if (pull === undefined)
    report.error(['spec', 'globalNetworkSet'], 'network-set-needs-pull', 'globalNetworkSet needs pull')
}

export const globalThreatFeed = defineKind({
  kind: 'GlobalThreatFeed',
  plural: 'globalthreatfeeds',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(spec), status: status() }),
  checks: [pullHolds, networkSetFits],
  defaults(resource) {
    const given = specOf(resource)
    resource.spec = given
    given.content ??= 'IPSet'
    given.mode ??= 'Enabled'
    given.feedType ??= 'Custom'
    if (given.pull !== undefined) given.pull.period ??= '24h'
  },
})
