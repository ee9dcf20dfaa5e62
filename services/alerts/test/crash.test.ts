import { DeliveryError, type Receiver } from '@margay/alerts/delivery'
import { createEvaluator } from '@margay/alerts/evaluator'
import { createLane } from '@margay/alerts/lane'
import { createOutbox } from '@margay/alerts/outbox'
import { createRules } from '@margay/alerts/rules'
import { linesOf } from '@margay/kit/blocks'
import { createReporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import { createState } from '@margay/kit/state'
import type { AlertEvent, Resource } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog, type MemoryLog } from '../../../test/harness/memory-log.ts'

const alert: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'GlobalAlert',
  metadata: { name: 'lateral', uid: 'u' },
  spec: {
    description: 'd',
    severity: 100,
    dataSet: 'flows',
    period: '1m',
    lookback: '1m',
    aggregateBy: ['source_namespace'],
  },
}
const groups = ['a', 'b', 'c']

/** A process: dead once the log has refused it, as after kill -9; what it does then reaches nobody. */
async function aProcess(
  log: MemoryLog,
  clock: { time: number },
  deliver: (key: string) => void,
  crash?: { at: number; when: 'before' | 'after' },
) {
  let appends = 0
  let isDead = false
  const never = new Promise<never>(() => {})
  const mine: MemoryLog = {
    ...log,
    async append(records) {
      if (isDead) return never
      appends += 1
      if (appends !== crash?.at) return log.append(records)
      isDead = true
      if (crash.when === 'after') await log.append(records)
      return never
    },
  }
  const reporter = createReporter('alerts', { level: 'silent' })
  const receiver: Receiver = {
    name: 'r',
    channel: 'email',
    minSeverity: 1,
    async send({ key }) {
      if (isDead) return never
      deliver(key)
      return {}
    },
  }
  const state = createState('state', { log: mine })
  await state.start?.()
  const outbox = createOutbox({ cluster: 'c', host: 'h' }, { state, receivers: [receiver] })
  const lane = createLane(receiver, {
    outbox,
    log: reporter.log,
    onOutcome() {},
    clock: { now: () => clock.time, random: () => 1, sleep: () => new Promise((resolve) => setImmediate(resolve)) },
  })
  const resources = { list: () => [alert], onChange: () => () => {} } as unknown as ResourceCache
  const rules = createRules({ database: 'margay', maxEvents: 100 }, { resources, now: () => clock.time })
  await rules.start?.()
  await lane.start?.()
  const evaluator = createEvaluator(
    { cluster: 'c', host: 'h', maxEvents: 100, repeatMs: 3_600_000, settleMs: 2000 },
    {
      rules,
      state,
      outbox,
      watermark: { passed: async () => true },
      reporter,
      query: async () => groups.map((g0) => ({ g0, is_simulated: false })),
      now: () => clock.time,
      onMessages: () => lane.wake(),
    },
  )
  return {
    isDead: () => isDead,
    appends: () => appends,
    async live(seconds: number) {
      for (let second = 0; second < seconds && !isDead; second += 1) {
        clock.time += 1000
        await evaluator.runDue()
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      }
    },
    end: () => (isDead ? undefined : lane.stop?.()),
  }
}

const eventsOf = (log: MemoryLog) =>
  log
    .records('margay.event.v1')
    .flatMap(linesOf)
    .map((line) => (JSON.parse(line) as AlertEvent).source_namespace)

describe('a process killed at any write', () => {
  it.each(['before', 'after'] as const)(
    '%s it is durable leaves every group with one event and one message or, once, two',
    async (when) => {
      let writes = 1
      let crashes = 0
      for (let at = 1; at <= writes; at += 1) {
        const log = createMemoryLog()
        const clock = { time: Date.parse('2026-03-01T10:00:00Z') }
        const delivered: string[] = []
        const first = await aProcess(log, clock, (key) => delivered.push(key), { at, when })
        await first.live(200)
        writes = Math.max(writes, first.isDead() ? at + 1 : 0)
        if (first.isDead()) crashes += 1
        const second = await aProcess(log, clock, (key) => delivered.push(key))
        await second.live(200)
        await Promise.all([first.end(), second.end()])
        expect(eventsOf(log).sort(), `events after a crash ${when} write ${at}`).toEqual(groups)
        expect(new Set(delivered).size, `messages after a crash ${when} write ${at}`).toBe(3)
        expect(delivered.length).toBeLessThanOrEqual(4)
      }
      // One write for the run, one for each delivery, one for each further window.
      expect(crashes).toBeGreaterThanOrEqual(6)
    },
  )

  it('is no different from one that never was when the receiver fails too', async () => {
    const log = createMemoryLog()
    const clock = { time: Date.parse('2026-03-01T10:00:00Z') }
    const delivered: string[] = []
    let tries = 0
    const flaky = (key: string) => {
      tries += 1
      if (tries % 3 !== 0) throw new DeliveryError('ambiguous', 'scripted')
      delivered.push(key)
    }
    for (let at = 2; at < 12; at += 1) {
      const process = await aProcess(log, clock, flaky, { at, when: at % 2 === 0 ? 'before' : 'after' })
      await process.live(30)
      await process.end()
    }
    const last = await aProcess(log, clock, flaky)
    await last.live(60)
    await last.end()
    expect(eventsOf(log).sort()).toEqual(groups)
    expect(new Set(delivered).size).toBe(3)
  })
})
