import type { ClickHouse } from '@margay/kit/clickhouse'
import { MargayError } from '@margay/kit/errors'
import {
  type AuditEvent,
  audit,
  eventOfRow,
  eventsSql,
  parseQuery,
  type Resource,
  snapshot as snapshotDefinition,
  topicOf,
} from '@margay/schemas'
import type { Interval } from './intervals.ts'
import type { AuditRecord } from './policy-audit.ts'
import { isStored, type StoreWatch } from './store-watch.ts'

/** The past, as the database keeps it. */
export interface Evidence {
  /** Resolves when every audit event that the log holds now can be queried; throws REPORT_EVIDENCE_LATE. */
  complete(): Promise<void>
  /** Changes of the resources (plurals) in `[start, end)`, oldest first. Throws REPORT_EVIDENCE_TOO_LARGE. */
  changes(resources: readonly string[], interval: Interval): Promise<AuditRecord[]>
  /** The snapshot to start from: the newest at or before the time, else the first after it; null when there is none. */
  snapshot(at: number): Promise<{ readonly time: number; readonly objects: Resource[] } | null>
}

/** More events than this would not fit into one report's record. */
const maxEvents = 50_000

/** Makes the evidence of one cluster. */
export function createEvidence(
  config: { readonly cluster: string; readonly waitMs: number },
  deps: StoreWatch & { readonly clickhouse: Pick<ClickHouse, 'query'> },
): Evidence {
  const { clickhouse } = deps

  return {
    async complete() {
      if (await isStored(topicOf(audit), config.waitMs, deps)) return
      throw new MargayError(
        'REPORT_EVIDENCE_LATE',
        `the store has not written all audit events within ${config.waitMs / 1000} s: see its status and try again`,
        { status: 503 },
      )
    },
    async changes(resources, { start, end }) {
      const plurals = resources.map((plural) => JSON.stringify(plural)).join(', ')
      const query = parseQuery(
        `cluster = ${JSON.stringify(config.cluster)} AND stage = ResponseComplete AND verb IN {${verbs}} AND "objectRef.resource" IN {${plurals}}`,
        audit,
      )
      const limit = maxEvents + 1
      const { sql, params } = eventsSql(audit, { query, from: start, to: end, first: 'oldest', limit })
      const rows = await clickhouse.query<Record<string, unknown>>(sql, { params })
      if (rows.length > maxEvents)
        throw new MargayError(
          'REPORT_EVIDENCE_TOO_LARGE',
          `the interval holds more than ${maxEvents} audit events: report on a shorter one`,
          { status: 422 },
        )
      const events = rows.map((row) => auditRecord(eventOfRow(audit, row) as unknown as AuditEvent & Times))
      return distinct(events.sort(inOrder))
    },
    async snapshot(at) {
      const [found] = await clickhouse.query<{ id: string; taken: number }>(
        `SELECT snapshot_id AS id, toUnixTimestamp64Milli(max(time)) AS taken FROM snapshots WHERE cluster = {cluster:String}
         GROUP BY id ORDER BY taken <= {at:Int64} DESC, if(taken <= {at:Int64}, -taken, taken) LIMIT 1`,
        { params: { cluster: config.cluster, at } },
      )
      if (found === undefined) return null
      const query = parseQuery(`snapshot_id = ${JSON.stringify(found.id)}`, snapshotDefinition)
      const { sql, params } = eventsSql(snapshotDefinition, { query })
      const rows = await clickhouse.query<Record<string, unknown>>(sql, { params })
      const objects = rows.map((row) => eventOfRow(snapshotDefinition, row).object as Resource)
      return { time: found.taken, objects }
    },
  }
}

const verbs = 'create, update, patch, delete, deletecollection'

interface Times {
  readonly stageTimestamp: unknown
  readonly requestReceivedTimestamp?: unknown
}

/** The event in the API server's own form, its first members as `kubectl` shows them. */
function auditRecord(event: AuditEvent & Times): AuditRecord {
  const {
    cluster: _c,
    host: _h,
    simulated: _s,
    name: _n,
    apiVersion = 'audit.k8s.io/v1',
    kind = 'Event',
    ...rest
  } = event
  return { kind, apiVersion, ...rest } as unknown as AuditRecord
}

/** By time, then by identity: the order does not depend on how the database reads. */
function inOrder(a: AuditRecord, b: AuditRecord): number {
  const keyOf = ({ stageTimestamp, auditID, objectRef }: AuditRecord) =>
    [stageTimestamp, auditID, objectRef?.resource, objectRef?.namespace, objectRef?.name].join('\u0000')
  const [left, right] = [keyOf(a), keyOf(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

function distinct(events: readonly AuditRecord[]): AuditRecord[] {
  const seen = new Set<string>()
  return events.filter((event) => {
    const text = JSON.stringify(event)
    return !seen.has(text) && seen.add(text)
  })
}
