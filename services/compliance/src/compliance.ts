import type { ClickHouse } from '@margay/kit/clickhouse'
import type { Component } from '@margay/kit/component'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import { createTicker } from '@margay/kit/schedule'
import { createState } from '@margay/kit/state'
import { type Config, milliseconds, report, topicOf } from '@margay/schemas'
import { createEvidence } from './evidence.ts'
import { createGenerator } from './generator.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'
import { createSnapshotter } from './snapshotter.ts'
import { isStored } from './store-watch.ts'

/** Topic of what compliance must remember: the newest snapshot, and how far each GlobalReport has come. */
const stateTopic = 'margay.compliance-state.v1'

/** How long a report waits for the store, ms: less than the API waits for the report. */
const evidenceWaitMs = 20_000
/** How long the answer to a request for a report waits until the report can be read, ms. */
const readableWaitMs = 5_000

/** Puts the compliance service together; log, ClickHouse and resources are started by the caller. */
export function createCompliance(
  config: Pick<Config, 'compliance' | 'cluster'> & { readonly host: string },
  deps: {
    readonly log: EventLog
    readonly clickhouse: Pick<ClickHouse, 'query'>
    readonly resources: ResourceCache
    readonly reporter: Reporter
    now(): number
    sleep(ms: number): Promise<void>
  },
): { readonly components: readonly Component[]; readonly scheduler: Scheduler } {
  const { log, clickhouse, resources, reporter, now, sleep } = deps
  const { cluster, host } = config
  const { snapshotHour, startDelay } = config.compliance
  const state = createState(stateTopic, { log })
  const evidence = createEvidence({ cluster, waitMs: evidenceWaitMs }, { log, clickhouse, now, sleep })
  const generator = createGenerator({ cluster, host }, { evidence, now })
  const snapshotter = createSnapshotter({ hour: snapshotHour, cluster, host }, { resources, state, reporter, now })
  const scheduler = createScheduler(
    { cluster, host, startDelayMs: milliseconds(startDelay) },
    {
      resources,
      state,
      generator,
      reporter,
      now,
      readable: () => isStored(topicOf(report), readableWaitMs, { log, now, sleep }),
    },
  )
  const ticker = createTicker('compliance ticker', {
    reporter,
    async run() {
      await snapshotter.runDue()
      await scheduler.runDue()
    },
  })
  return { components: [state, snapshotter, scheduler, ticker], scheduler }
}
