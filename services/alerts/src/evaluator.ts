import { encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { KeyedState } from '@margay/kit/state'
import { type AlertEvent, event as definition } from '@margay/schemas'
import type { Alert } from './alert.ts'
import { alertEvent } from './alert-event.ts'
import { type Episode, judge } from './episodes.ts'
import { messagesOf } from './message.ts'
import type { Outbox } from './outbox.ts'
import { type AlertStatus, type RuleState, skippedCondition, statusOf, truncatedCondition } from './rule-state.ts'
import type { ErrorCondition, Rule, Rules } from './rules.ts'
import { type Found, hitsOf, type Statement } from './statement.ts'
import type { Watermark } from './watermark.ts'
import { type Due, dueWindows, type Window } from './windows.ts'

/** Settings of the evaluation. */
export interface EvaluatorConfig {
  readonly cluster: string
  readonly host: string
  readonly maxEvents: number
  readonly repeatMs: number
  /** Time left to reporters to write what they saw, after a window's end, ms. */
  readonly settleMs: number
}

/** Runs what is due; each alert by itself, so that one that fails or is slow holds up no other. */
export interface Evaluator extends Component {
  /** Begins every run that is due and returns; runs under way go on by themselves. */
  runDue(): Promise<void>
  /** Resolves when no run is under way. */
  settled(): Promise<void>
  status(): AlertStatus[]
}

/** Runs at the same time at most: the engine has other readers too. */
const maxRunning = 4
/** Characters of events in one append; Kafka takes 16 MiB for a partition at once, and state comes with it. */
const maxAppendChars = 4 * 2 ** 20
/** A data set that stays behind for longer is told in the status. */
const patienceMs = 60_000

type Ready = Extract<Rule, { alert: Alert }>

/** Makes the evaluator. */
export function createEvaluator(
  config: EvaluatorConfig,
  deps: {
    readonly rules: Rules
    readonly state: KeyedState
    readonly outbox: Outbox
    readonly watermark: Watermark
    readonly reporter: Reporter
    query(sql: string, params: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>[]>
    now(): number
    /** Called when messages have entered the outbox. */
    onMessages(): void
  },
): Evaluator {
  const { rules, state, outbox, reporter, now } = deps
  const running = new Map<string, Promise<void>>()
  /** Failures since the last good run, and when to try next; gone with the process, for it costs one early try. */
  const failures = new Map<string, { count: number; condition: ErrorCondition; retryAt: number }>()
  /** Windows being waited for: they stay the same until the data is there, however long that takes. */
  const plans = new Map<string, Due & { readonly revision: string }>()
  const runs = reporter.counter('runs_total', 'windows evaluated by outcome', ['outcome'])
  const events = reporter.counter('events_total', 'alert events written', ['kind'])
  const duration = reporter.histogram('run_seconds', 'time of one window, seconds', [0.01, 0.05, 0.2, 1, 5, 30])
  const lag = reporter.gauge('lag_seconds', 'age of the oldest window that is due and not evaluated')
  const origin = { cluster: config.cluster, producer: `alerts/${config.host}` }
  let hasEnded = false

  async function evaluate(rule: Ready): Promise<void> {
    const { alert, statement } = rule
    await state.sync()
    const plan = planOf(rule)
    const conditions = plan.skipped === null ? [] : [skippedCondition(plan.skipped)]
    for (const window of plan.windows) {
      if (hasEnded || !(await hasData(alert, statement, window))) return
      const stop = duration.startTimer()
      await evaluateWindow(rule, window, conditions)
      stop()
      runs.inc({ outcome: 'ok' })
    }
    plans.delete(alert.uid)
  }

  function planOf(rule: Ready): Due {
    const { alert } = rule
    const { lastEnd } = stateOf(rule)
    const known = plans.get(alert.uid)
    if (known?.revision === alert.revision) {
      const windows = known.windows.filter(({ to }) => to > lastEnd)
      if (windows.length > 0) return { ...known, windows }
    }
    const plan = { ...dueWindows(alert, lastEnd, now() - config.settleMs), revision: alert.revision }
    plans.set(alert.uid, plan)
    return plan
  }

  /** True when all data of the window can be queried; throws when that takes too long. */
  async function hasData(alert: Alert, { topic }: Statement, { to }: Window): Promise<boolean> {
    if (await deps.watermark.passed(topic, to + config.settleMs)) return true
    if (now() - to < patienceMs + config.settleMs) return false
    throw new MargayError(
      'ALERT_DATA_LATE',
      `alert ${alert.name} waits: the store has not written all ${alert.dataSet} up to ${new Date(to).toISOString()}; see the store's status`,
    )
  }

  async function evaluateWindow(rule: Ready, window: Window, conditions: readonly ErrorCondition[]): Promise<void> {
    const { alert, statement } = rule
    const rows = await deps.query(statement.sql, { ...statement.params, from: window.from, to: window.to })
    const found: Found = hitsOf(statement, rows)
    const prefix = `episode/${alert.uid}/`
    const open = new Map(
      state.keys(prefix).map((key) => [key.slice(prefix.length), state.get<Episode>(key) as Episode]),
    )
    const { raised, ended } = judge(open, { ...found, window }, config.repeatMs)
    const at = { window, now: now(), cluster: config.cluster, host: config.host }
    const written = raised.map((each) => ({ ...each, event: alertEvent(alert, each.hit, at) }))
    const before = stateOf(rule)
    const after = {
      ...before,
      lastEnd: window.to,
      lastExecuted: at.now,
      lastEvent: raised.length > 0 ? at.now : before.lastEvent,
      errorConditions: found.isTruncated ? [...conditions, truncatedCondition(config.maxEvents)] : conditions,
    } satisfies RuleState
    const parts = inParts(written)
    for (const [index, part] of parts.entries()) {
      const { changes, records } = outbox.enter(index === 0 ? messagesOf(alert, written) : [], at.now)
      for (const { hit, episode } of part) changes.set(`${prefix}${hit.fingerprint}`, episode)
      if (index === parts.length - 1) {
        for (const fingerprint of ended) changes.set(`${prefix}${fingerprint}`, undefined)
        changes.set(`rule/${alert.uid}`, after)
      }
      const news = part.map(({ event }) => event)
      await state.write(changes, [...encodeBlocks(definition, news, origin), ...records])
    }
    for (const { event, isRepeat } of written) {
      events.inc({ kind: isRepeat ? 'repeated' : 'new' })
      reporter.log.info(
        { alert: alert.name, severity: alert.severity, description: event.description, id: event.id },
        'alert raised',
      )
    }
    if (written.length > 0) deps.onMessages()
  }

  /** What is remembered of the alert; an alert that is new or was edited is looked at without waiting for its period. */
  function stateOf({ alert, since }: Ready): RuleState {
    const known = state.get<RuleState>(`rule/${alert.uid}`)
    if (known?.revision === alert.revision) return known
    return {
      name: alert.name,
      revision: alert.revision,
      lastUpdate: since,
      lastEnd: since - alert.periodMs,
      lastExecuted: known?.lastExecuted ?? null,
      lastEvent: known?.lastEvent ?? null,
      errorConditions: [],
    }
  }

  async function attempt(rule: Ready): Promise<void> {
    const { alert } = rule
    try {
      await evaluate(rule)
      failures.delete(alert.uid)
    } catch (error) {
      runs.inc({ outcome: 'failed' })
      const count = (failures.get(alert.uid)?.count ?? 0) + 1
      const message = messageOf(error)
      const wait = Math.min(alert.periodMs, 60_000, 1000 * 2 ** Math.min(count, 6))
      const type = error instanceof MargayError ? error.code : 'ALERT_EVALUATION_FAILED'
      failures.set(alert.uid, { count, condition: { type, message }, retryAt: now() + wait })
      reporter.log.warn({ alert: alert.name, error: message, failures: count }, 'an alert could not be evaluated')
    }
  }

  async function forgetDeleted(current: ReadonlySet<string>): Promise<void> {
    const changes = new Map<string, unknown>()
    for (const key of state.keys('rule/')) {
      const uid = key.slice('rule/'.length)
      if (current.has(uid)) continue
      changes.set(key, undefined)
      for (const episode of state.keys(`episode/${uid}/`)) changes.set(episode, undefined)
    }
    if (changes.size > 0) await state.write(changes)
  }

  return {
    name: 'evaluator',
    async runDue() {
      const all = rules.list()
      await forgetDeleted(new Set(all.map(({ uid }) => uid)))
      let oldest = now()
      for (const rule of all) {
        if (rule.alert === null) continue
        const { alert } = rule
        const { windows } = dueWindows(alert, stateOf(rule).lastEnd, now() - config.settleMs)
        if (windows[0] === undefined) continue
        oldest = Math.min(oldest, windows[0].to)
        if (running.has(alert.uid) || running.size >= maxRunning) continue
        if ((failures.get(alert.uid)?.retryAt ?? 0) > now()) continue
        running.set(
          alert.uid,
          attempt(rule).finally(() => running.delete(alert.uid)),
        )
      }
      lag.set((now() - oldest) / 1000)
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.values())
    },
    async stop() {
      hasEnded = true
      await Promise.all(running.values())
    },
    status: () =>
      rules.list().map((rule) => statusOf(rule, state.get(`rule/${rule.uid}`), failures.get(rule.uid)?.condition)),
    health() {
      const failing = [...failures.values()]
      if (failing.length === 0) return { state: 'ok' }
      return {
        state: 'degraded',
        reason: `${failing.length} alerts cannot be evaluated: ${failing[0]?.condition.message}`,
      }
    },
  }
}

/**
 * What is raised, cut into pieces that one append may hold; at least one. Each piece is written with its episodes, so
 * that a crash between two leaves the rest to be found again, and only the rest. The messages go with the first piece.
 */
function inParts<T extends { readonly event: AlertEvent }>(raised: readonly T[]): T[][] {
  const parts: T[][] = [[]]
  let size = 0
  for (const each of raised) {
    const length = JSON.stringify(each.event).length
    if (size > 0 && size + length > maxAppendChars) {
      parts.push([])
      size = 0
    }
    parts.at(-1)?.push(each)
    size += length
  }
  return parts
}
