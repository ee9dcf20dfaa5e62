import { MargayError } from '@margay/kit/errors'
import { stableId } from '@margay/kit/identity'
import { report as definition, type ReportEvent } from '@margay/schemas'
import type { Evidence } from './evidence.ts'
import type { GlobalReport } from './global-report.ts'
import { createHistory, type History } from './history.ts'
import type { Interval } from './intervals.ts'
import { type AuditRecord, policyAuditDocument, policyAuditWidgets } from './policy-audit.ts'
import { policyAuditFiles } from './report-files.ts'
import { type ReportType, reportTypes, typeSpec } from './report-type.ts'
import type { EndpointsSelection } from './scope.ts'

/** Makes reports of the past of one cluster. */
export interface Generator {
  /** The report of an interval; asked again it has the same id and the same files. Throws a MargayError. */
  generate(report: GlobalReport, interval: Interval): Promise<ReportEvent>
}

/** Kinds whose changes move endpoints in and out of a scope. */
const endpointResources = ['pods', 'hostendpoints', 'workloadendpoints', 'namespaces', 'serviceaccounts', 'profiles']
const dayMs = 86_400_000

/** Makes the generator. */
export function createGenerator(
  config: { readonly cluster: string; readonly host: string },
  deps: { readonly evidence: Evidence; now(): number },
): Generator {
  const { evidence, now } = deps
  return {
    async generate(report, interval) {
      const type = typeOf(report)
      if (!(interval.start < interval.end))
        throw new MargayError('REPORT_INTERVAL_INVALID', `report ${report.name}: start must be before end`, {
          status: 422,
        })
      if (interval.end > now())
        throw new MargayError('REPORT_INTERVAL_INVALID', `report ${report.name}: the interval ends in the future`, {
          status: 422,
        })
      await evidence.complete()
      const { endpoints } = report.spec
      const reasons = interval.start < now() - definition.retentionDays * dayMs ? ['audit events are kept 91 days'] : []
      const events = await (endpoints === undefined
        ? evidence.changes(type.auditResources, interval)
        : changesInScope(type, endpoints, interval, reasons))
      const document = policyAuditDocument({ ...report, typeSpec: typeSpec(type) }, interval, events)
      const generated = now()
      return {
        ...config,
        id: stableId('report', config.cluster, report.name, String(interval.start), String(interval.end)),
        name: report.name,
        report_type: type.name,
        start_time: interval.start,
        end_time: interval.end,
        generated_time: generated,
        complete: reasons.length === 0,
        incomplete_reasons: reasons,
        summary: policyAuditWidgets(document),
        files: policyAuditFiles(document),
        document: { ...document, generationTime: new Date(generated).toISOString() },
      }
    },
  }

  async function changesInScope(
    type: ReportType,
    selection: EndpointsSelection,
    interval: Interval,
    reasons: string[],
  ): Promise<AuditRecord[]> {
    const base = await evidence.snapshot(interval.start)
    if (base === null || base.time > interval.start) reasons.push('there is no snapshot from before the interval')
    const history = createHistory(base?.objects ?? [], selection)
    const from = Math.min(base?.time ?? interval.start, interval.start)
    const all = await evidence.changes([...type.auditResources, ...endpointResources], {
      start: from,
      end: interval.end,
    })
    return inScope(history, all, type, interval.start)
  }
}

function inScope(history: History, all: readonly AuditRecord[], type: ReportType, start: number): AuditRecord[] {
  return all.filter((event) => {
    const isWanted =
      type.auditResources.includes(event.objectRef?.resource ?? '') && Date.parse(event.stageTimestamp) >= start
    const isKept = isWanted && history.concerns(event)
    history.replay(event)
    return isKept
  })
}

function typeOf({ name, spec }: GlobalReport): ReportType {
  const type = reportTypes.get(spec.reportType)
  if (type !== undefined) return type
  throw new MargayError(
    'REPORT_TYPE_UNSUPPORTED',
    `report ${name} is of type ${spec.reportType}; this version makes ${[...reportTypes.keys()].join(', ')}`,
    { status: 422 },
  )
}
