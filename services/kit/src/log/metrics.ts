import { MargayError } from '../errors.ts'
import type { LogRecord, Position } from '../event-log.ts'
import type { Reporter } from '../reporter.ts'

/** What both adapters count. Label sets are closed: topics and groups are fixed by the product. */
export interface LogMetrics {
  /** Runs an append; counts what it took, or with which code it failed. */
  append(records: readonly LogRecord[], action: () => Promise<Position[]>): Promise<Position[]>
  delivered(topic: string, records: number): void
  deliveryFailed(group: string): void
  commitRefused(group: string): void
  removed(topic: string, reason: 'expired' | 'compacted', records: number): void
  skipped(topic: string, records: number): void
}

/** Registers the metrics of the event log. */
export function createLogMetrics(reporter: Reporter): LogMetrics {
  const records = reporter.counter('log_records_appended_total', 'records that the event log took', ['topic'])
  const bytes = reporter.counter('log_bytes_appended_total', 'bytes of values that the event log took', ['topic'])
  const failed = reporter.counter('log_appends_failed_total', 'appends that the event log refused', ['code'])
  const seconds = reporter.histogram(
    'log_append_seconds',
    'time until an append was durable',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )
  const delivered = reporter.counter('log_records_delivered_total', 'records given to handlers', ['topic'])
  const rejected = reporter.counter('log_deliveries_failed_total', 'batches that a handler rejected', ['group'])
  const refused = reporter.counter('log_commits_refused_total', 'batches whose partition had moved on', ['group'])
  const removed = reporter.counter('log_records_removed_total', 'records that retention took away', ['topic', 'reason'])
  const skipped = reporter.counter('log_records_skipped_total', 'records gone before a reader came to them', ['topic'])
  return {
    async append(given, action) {
      const started = performance.now()
      try {
        const positions = await action()
        seconds.observe((performance.now() - started) / 1000)
        for (const { topic, value } of given) {
          records.inc({ topic })
          bytes.inc({ topic }, value?.length ?? 0)
        }
        return positions
      } catch (error) {
        failed.inc({ code: error instanceof MargayError ? error.code : 'unexpected' })
        throw error
      }
    },
    delivered: (topic, count) => delivered.inc({ topic }, count),
    deliveryFailed: (group) => rejected.inc({ group }),
    commitRefused: (group) => refused.inc({ group }),
    removed: (topic, reason, count) => removed.inc({ topic, reason }, count),
    skipped: (topic, count) => skipped.inc({ topic }, count),
  }
}
