import type { ClickHouse } from '@margay/kit/clickhouse'
import type { Component } from '@margay/kit/component'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import { createTicker } from '@margay/kit/schedule'
import { createState } from '@margay/kit/state'
import { type Config, milliseconds } from '@margay/schemas'
import type { Receiver } from './delivery.ts'
import { createEvaluator } from './evaluator.ts'
import { type Clock, createLane } from './lane.ts'
import { createOutbox } from './outbox.ts'
import { createEmailReceiver } from './receivers/email.ts'
import { createSlackReceiver } from './receivers/slack.ts'
import { createWebhookReceiver } from './receivers/webhook.ts'
import type { AlertStatus } from './rule-state.ts'
import { createRules } from './rules.ts'
import { createWatermark } from './watermark.ts'

/** Topic of what alerts must remember: windows done, episodes under way, messages on their way. */
const stateTopic = 'margay.alerts-state.v1'

/** Time that reporters have to write what happened before a window's end, ms. */
const settleMs = 2000

/** The parts of the alert service, in the order in which they start, and the status of every alert. */
export interface Alerts {
  readonly components: readonly Component[]
  status(): AlertStatus[]
}

/** Puts the alert service together; log, ClickHouse and resources are started by the caller. */
export function createAlerts(
  config: Pick<Config, 'alerts' | 'cluster' | 'clickhouse'> & { readonly host: string },
  deps: {
    readonly log: EventLog
    readonly clickhouse: Pick<ClickHouse, 'query'>
    readonly resources: ResourceCache
    readonly reporter: Reporter
    readonly clock: Clock
  },
): Alerts {
  const { log, clickhouse, resources, reporter, clock } = deps
  const { cluster, host } = config
  const now = () => clock.now()
  const receivers = config.alerts.receivers.map((each): Receiver => {
    if (each.type === 'email') return createEmailReceiver(each, { cluster })
    return each.type === 'slack' ? createSlackReceiver(each, { cluster }) : createWebhookReceiver(each, { cluster })
  })
  const state = createState(stateTopic, { log })
  const outbox = createOutbox({ cluster, host }, { state, receivers })
  const deliveries = reporter.counter(
    'deliveries_total',
    'tries to deliver a message by kind of receiver and outcome',
    ['channel', 'outcome'],
  )
  const lanes = receivers.map((receiver) =>
    createLane(receiver, {
      outbox,
      clock,
      log: reporter.log,
      onOutcome: (outcome) => deliveries.inc({ channel: receiver.channel, outcome }),
    }),
  )
  const maxEvents = config.alerts.maxEventsPerRun
  const rules = createRules({ database: config.clickhouse.database, maxEvents }, { resources, now })
  const evaluator = createEvaluator(
    { cluster, host, maxEvents, repeatMs: milliseconds(config.alerts.repeatInterval), settleMs },
    {
      rules,
      state,
      outbox,
      watermark: createWatermark({ log }),
      reporter,
      query: (sql, params) => clickhouse.query(sql, { params }),
      now,
      onMessages: () => {
        for (const lane of lanes) lane.wake()
      },
    },
  )
  const ticker = createTicker('alert ticker', { reporter, run: () => evaluator.runDue() })
  return { components: [state, ...lanes, rules, evaluator, ticker], status: () => evaluator.status() }
}
