import { type Static, Type } from 'typebox'
import { readCron } from '../cron.ts'
import { type Check, calico, defineKind } from '../kind.ts'
import type { Resource } from '../resource.ts'
import { optional, selector, status, stringMap } from '../schema.ts'

const match = () =>
  optional(Type.Object({ names: optional(Type.Array(Type.String())), selector: optional(selector()) }))
const percent = () => optional(Type.Integer({ minimum: 0, maximum: 100 }))
const indices = () => optional(Type.Array(Type.String()))

const reportSpec = Type.Object({
  reportType: Type.String({ minLength: 1 }),
  endpoints: optional(Type.Object({ selector: optional(selector()), namespaces: match(), serviceAccounts: match() })),
  schedule: optional(Type.String()),
  jobNodeSelector: optional(stringMap()),
  suspend: optional(Type.Boolean()),
  cis: optional(
    Type.Object({
      highThreshold: percent(),
      medThreshold: percent(),
      includeUnscoredTests: optional(Type.Boolean()),
      numFailedTests: optional(Type.Integer({ minimum: 1 })),
      resultsFilters: optional(
        Type.Array(
          Type.Object({
            benchmarkSelection: optional(Type.Object({ kubernetesVersion: optional(Type.String()) })),
            include: indices(),
            exclude: indices(),
          }),
        ),
      ),
    }),
  ),
})

export type GlobalReportSpec = Static<typeof reportSpec>

const specOf = (resource: Resource): GlobalReportSpec => resource.spec as GlobalReportSpec

/** Reports more often than this an hour are refused, and those above the second warned of: sources differ on the limit. */
const mostAnHour = 12
const manyAnHour = 2

const scheduleHolds: Check = (resource, report) => {
  const { schedule } = specOf(resource)
  const at = ['spec', 'schedule']
  if (schedule === undefined) {
    report.warning(at, 'no-schedule', 'without a schedule the report is made on request only')
    return
  }
  const read = readCron(schedule)
  if ('problem' in read) report.error(at, 'schedule', `schedule ${JSON.stringify(schedule)}: ${read.problem}`)
  else if (read.cron.minutes.length > mostAnHour)
    report.error(at, 'too-frequent', `at most ${mostAnHour} reports an hour`)
  else if (read.cron.minutes.length > manyAnHour)
    report.warning(at, 'frequent', `more than ${manyAnHour} reports an hour`)
}

const thresholdsAscend: Check = (resource, report) => {
  const { cis, reportType } = specOf(resource)
  if (cis === undefined) return
  if (reportType !== 'cis-benchmark')
    report.warning(['spec', 'cis'], 'cis-unused', `cis means nothing to a ${reportType} report`)
  const { highThreshold = 100, medThreshold = 50 } = cis
  if (highThreshold <= medThreshold) {
    report.error(
      ['spec', 'cis', 'highThreshold'],
      'thresholds',
      `highThreshold ${highThreshold} must be above medThreshold ${medThreshold}`,
    )
  }
}

export const globalReport = defineKind({
  kind: 'GlobalReport',
  plural: 'globalreports',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: reportSpec, status: status() }),
  checks: [scheduleHolds, thresholdsAscend],
})

const template = () =>
  Type.Object({
    name: optional(Type.String()),
    description: optional(Type.String()),
    template: optional(Type.String()),
  })
const auditResource = Type.Object({
  resource: optional(Type.String()),
  apiGroup: optional(Type.String()),
  apiVersion: optional(Type.String()),
  name: optional(Type.String()),
  namespace: optional(Type.String()),
})

export const globalReportType = defineKind({
  kind: 'GlobalReportType',
  plural: 'globalreporttypes',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({
    spec: Type.Object({
      uiSummaryTemplate: template(),
      downloadTemplates: optional(Type.Array(template())),
      includeEndpointData: optional(Type.Boolean()),
      includeEndpointFlowLogData: optional(Type.Boolean()),
      includeCISBenchmarkData: optional(Type.Boolean()),
      auditEventsSelection: optional(Type.Object({ resources: optional(Type.Array(auditResource)) })),
    }),
    status: status(),
  }),
  checks: [
    (resource, report) => {
      const { downloadTemplates = [] } = resource.spec as { downloadTemplates?: { name?: string }[] }
      const seen = new Set<string | undefined>()
      for (const [index, { name }] of downloadTemplates.entries()) {
        if (seen.has(name))
          report.error(['spec', 'downloadTemplates', index, 'name'], 'unique', `template name ${name} is used twice`)
        seen.add(name)
      }
    },
  ],
})
