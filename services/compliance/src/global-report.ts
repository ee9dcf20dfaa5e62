import type { GlobalReportSpec, Resource } from '@margay/schemas'
import { reportTypes } from './report-type.ts'

/** A GlobalReport as the scheduler works with it. */
export interface GlobalReport {
  readonly uid: string
  readonly name: string
  readonly spec: GlobalReportSpec
  /** When the resource was made, unix ms; null when it does not say. */
  readonly created: number | null
}

/** Reads a GlobalReport resource. */
export function readGlobalReport(resource: Resource): GlobalReport {
  const { name, uid, creationTimestamp } = resource.metadata
  const created = creationTimestamp === undefined ? Number.NaN : Date.parse(creationTimestamp)
  return {
    uid: uid ?? name,
    name,
    spec: resource.spec as GlobalReportSpec,
    created: Number.isNaN(created) ? null : created,
  }
}

/** A built-in type under its own name, for who wants a report without having made a resource for it. */
export function builtInReport(name: string): GlobalReport | null {
  return reportTypes.has(name) ? { uid: name, name, spec: { reportType: name }, created: null } : null
}
