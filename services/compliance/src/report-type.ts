/** A GlobalReportType that Margay makes itself (spec 3.5). */
export interface ReportType {
  readonly name: string
  /** Plurals whose audit events belong into the report, whatever their group. */
  readonly auditResources: readonly string[]
}

/** The built-in type policy-audit: who changed which policy. */
const policyAudit: ReportType = {
  name: 'policy-audit',
  auditResources: [
    'globalnetworkpolicies',
    'networkpolicies',
    'stagedglobalnetworkpolicies',
    'stagednetworkpolicies',
    'stagedkubernetesnetworkpolicies',
  ],
}

/** Types by name. */
export const reportTypes: ReadonlyMap<string, ReportType> = new Map([[policyAudit.name, policyAudit]])

/** The spec of a type as the report keeps it, so that it can be read when the type is gone. */
export function typeSpec(type: ReportType): object {
  return { auditEventsSelection: { resources: type.auditResources.map((resource) => ({ resource })) } }
}
