import { sha256 } from '@margay/kit/identity'
import type { GlobalReportSpec, ReportFile } from '@margay/schemas'
import { stringify as csv } from 'csv-stringify/sync'
import { stringify as yaml } from 'yaml'
import type { PolicyAudit } from './policy-audit.ts'

/**
 * The files of policy-audit (spec 3.9). The same document gives the same bytes: no time of making, no order that is not
 * the document's own.
 */
export function policyAuditFiles(document: PolicyAudit): ReportFile[] {
  const { auditEvents } = document
  return [
    file('summary.csv', 'text/csv; charset=utf-8', summaryCsv(document)),
    file('events.json', 'application/json', `${JSON.stringify(auditEvents, null, 2)}\n`),
    // No anchors: an object that occurs twice is written twice, as any reader of YAML expects.
    file('events.yaml', 'application/yaml', yaml(auditEvents, { aliasDuplicateObjects: false, lineWidth: 0 })),
  ]
}

function summaryCsv({ startTime, endTime, reportSpec, auditSummary }: PolicyAudit): string {
  return csvText([
    {
      startTime,
      endTime,
      ...scopeCells(reportSpec.endpoints),
      numCreatedPolicies: auditSummary.numCreate,
      numModifiedPolicies: auditSummary.numModify,
      numDeletedPolicies: auditSummary.numDelete,
    },
  ])
}

function scopeCells(endpoints: GlobalReportSpec['endpoints']) {
  return {
    endpointSelector: endpoints?.selector ?? '',
    namespaceNames: endpoints?.namespaces?.names?.join(';') ?? '',
    namespaceSelector: endpoints?.namespaces?.selector ?? '',
    serviceAccountNames: endpoints?.serviceAccounts?.names?.join(';') ?? '',
    serviceAccountSelectors: endpoints?.serviceAccounts?.selector ?? '',
  }
}

/**
 * CSV of RFC 4180: heading, CRLF, quotes where needed. A cell that a spreadsheet would take for a formula gets a quote
 * before it.
 */
export function csvText(rows: readonly Record<string, string | number>[]): string {
  return csv([...rows], { header: true, record_delimiter: 'windows', escape_formulas: true })
}

function file(name: string, contentType: string, content: string): ReportFile {
  return { name, content_type: contentType, sha256: sha256(content), bytes: Buffer.byteLength(content), content }
}
