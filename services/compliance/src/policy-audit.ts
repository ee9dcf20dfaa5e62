import type { AuditEvent, GlobalReportSpec } from '@margay/schemas'
import type { Interval } from './intervals.ts'

/** An audit event of the API server's own form: times in RFC 3339, nothing of the pipeline in it. */
export type AuditRecord = Omit<
  AuditEvent,
  'cluster' | 'host' | 'simulated' | 'name' | 'stageTimestamp' | 'requestReceivedTimestamp'
> & {
  readonly stageTimestamp: string
  readonly requestReceivedTimestamp?: string
}

/** The figures of policy-audit. What did not change a policy is counted beside, not among, the changes. */
export interface AuditSummary {
  readonly numTotal: number
  readonly numCreate: number
  /** Updates and patches. */
  readonly numModify: number
  readonly numDelete: number
  /** Updates of nothing but the status, as controllers make them. */
  readonly numStatusOnly: number
  /** Requests that were refused. */
  readonly numRefused: number
}

/** The report data document (spec 3.6), as far as policy-audit fills it. */
export interface PolicyAudit {
  readonly reportName: string
  readonly reportTypeName: string
  readonly reportSpec: GlobalReportSpec
  readonly reportTypeSpec: object
  /** RFC 3339. */
  readonly startTime: string
  readonly endTime: string
  /** Oldest first. */
  readonly auditEvents: readonly AuditRecord[]
  readonly auditSummary: AuditSummary
}

/** Counts the changes of policies in audit events. */
function summarize(events: readonly AuditRecord[]): AuditSummary {
  const count = { numCreate: 0, numModify: 0, numDelete: 0, numStatusOnly: 0, numRefused: 0 }
  for (const event of events) count[figureOf(event)] += 1
  return { numTotal: count.numCreate + count.numModify + count.numDelete, ...count }
}

function figureOf(event: AuditRecord): Exclude<keyof AuditSummary, 'numTotal'> {
  if (!hasSucceeded(event)) return 'numRefused'
  if (event.objectRef?.subresource === 'status') return 'numStatusOnly'
  if (event.verb === 'create') return 'numCreate'
  return event.verb === 'delete' || event.verb === 'deletecollection' ? 'numDelete' : 'numModify'
}

/** True when the request was carried out. */
export function hasSucceeded(event: Pick<AuditRecord, 'responseStatus'>): boolean {
  const code = event.responseStatus?.code ?? 200
  return code >= 200 && code < 300
}

/** The document of one interval. It follows from its arguments alone. */
export function policyAuditDocument(
  report: { readonly name: string; readonly spec: GlobalReportSpec; readonly typeSpec: object },
  interval: Interval,
  events: readonly AuditRecord[],
): PolicyAudit {
  return {
    reportName: report.name,
    reportTypeName: report.spec.reportType,
    reportSpec: report.spec,
    reportTypeSpec: report.typeSpec,
    startTime: new Date(interval.start).toISOString(),
    endTime: new Date(interval.end).toISOString(),
    auditEvents: events,
    auditSummary: summarize(events),
  }
}

/** What a list of reports shows: one panel of charts, as the shipped template of policy-audit makes it (spec 3.10). */
export function policyAuditWidgets({ auditSummary }: PolicyAudit): object {
  const { numTotal, numCreate, numModify, numDelete } = auditSummary
  return {
    heading: 'Network Policy Configuration Changes',
    type: 'panel',
    widgets: [
      {
        heading: 'Network Policies',
        type: 'radialbarchart',
        data: [
          { label: 'Created', value: numCreate },
          { label: 'Modified', value: numModify },
          { label: 'Deleted', value: numDelete },
        ],
        summary: { label: 'Total', total: numTotal },
      },
    ],
    auditSummary,
  }
}
