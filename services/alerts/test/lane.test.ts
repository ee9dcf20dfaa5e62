import { type Attempt, DeliveryError, type FailureKind, type Receiver } from '@margay/alerts/delivery'
import { createLane, type Outcome } from '@margay/alerts/lane'
import type { Message } from '@margay/alerts/message'
import { createOutbox } from '@margay/alerts/outbox'
import { linesOf } from '@margay/kit/blocks'
import { createReporter } from '@margay/kit/reporter'
import { createState } from '@margay/kit/state'
import type { NotificationEvent } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'
import { aMessage } from './message-sample.ts'

const stateTopic = 'state'
const reporter = createReporter('alerts', { level: 'silent' })

/** A receiver that follows a script of failures, with its outbox on a log in memory and a clock that never waits. */
async function aLane(script: (FailureKind | 'ok' | DeliveryError)[], log = createMemoryLog(), name = 'r') {
  const sent: { key: string; attempt: Attempt }[] = []
  const waits: number[] = []
  const outcomes: Outcome[] = []
  let time = 1_000_000
  let settled: () => void = () => {}
  const receiver: Receiver = {
    name,
    channel: 'email',
    minSeverity: 50,
    async send(message: Message, attempt) {
      sent.push({ key: message.key, attempt })
      const step = script.shift() ?? 'ok'
      if (step === 'ok') return { messageId: message.key }
      throw step instanceof DeliveryError ? step : new DeliveryError(step, `scripted ${step}`)
    },
  }
  const state = createState(stateTopic, { log })
  await state.start?.()
  const outbox = createOutbox({ cluster: 'c', host: 'h' }, { state, receivers: [receiver] })
  const clock = {
    now: () => time,
    random: () => 1,
    async sleep(ms: number) {
      waits.push(ms)
      time += ms
      await new Promise(setImmediate)
    },
  }
  const lane = createLane(receiver, {
    outbox: {
      ...outbox,
      async settle(...args) {
        await outbox.settle(...args)
        if (outbox.size(name) === 0) settled()
      },
    },
    clock,
    log: reporter.log,
    onOutcome: (outcome) => outcomes.push(outcome),
  })
  return {
    log,
    lane,
    outbox,
    sent,
    waits,
    outcomes,
    async put(...messages: Message[]) {
      const { changes, records } = outbox.enter(messages, time)
      await state.write(changes, records)
    },
    async drain() {
      const done = new Promise<void>((resolve) => {
        settled = resolve
      })
      await lane.start?.()
      lane.wake()
      await done
      await lane.stop?.()
    },
  }
}

const notifications = (log: ReturnType<typeof createMemoryLog>) =>
  log
    .records('margay.notification.v1')
    .flatMap(linesOf)
    .map((line) => JSON.parse(line) as NotificationEvent)
    .map(({ receiver, state, attempts, error, id }) => ({ id, receiver, state, attempts, error }))

describe('a message on its way', () => {
  it('is in the inbox at once, then queued, then sent, each step on the log', async () => {
    const t = await aLane([])
    await t.put(aMessage())
    await t.drain()
    expect(notifications(t.log)).toEqual([
      { id: 'e1@inbox', receiver: 'inbox', state: 'sent', attempts: 1, error: '' },
      { id: 'e1@r', receiver: 'r', state: 'queued', attempts: 0, error: '' },
      { id: 'e1@r', receiver: 'r', state: 'sent', attempts: 1, error: '' },
    ])
  })

  it('goes to no receiver that wants graver ones only', async () => {
    const t = await aLane([])
    await t.put(aMessage({ severity: 49 }))
    expect(t.outbox.size('r')).toBe(0)
    expect(notifications(t.log).map(({ receiver }) => receiver)).toEqual(['inbox'])
  })

  it('is tried again after growing waits while nothing gets through, in order and without loss', async () => {
    const t = await aLane(['transient', 'transient', 'transient', 'ok', 'transient', 'ok'])
    await t.put(aMessage({ key: 'first' }), aMessage({ key: 'second' }))
    await t.drain()
    expect(t.sent.map(({ key }) => key)).toEqual(['first', 'first', 'first', 'first', 'second', 'second'])
    expect(t.waits).toEqual([1000, 2000, 4000, 1000])
    expect(
      notifications(t.log)
        .filter(({ id }) => id === 'first@r')
        .map(({ state, attempts }) => [state, attempts]),
    ).toEqual([
      ['queued', 0],
      ['queued', 1],
      ['sent', 4],
    ])
  })

  it('waits as long as the receiver asks', async () => {
    const t = await aLane([new DeliveryError('rate', 'slow down', { retryAfterMs: 7000 }), 'rate'])
    await t.put(aMessage())
    await t.drain()
    expect(t.waits).toEqual([7000, 30_000])
  })

  it('is given up when the receiver refuses it for good, and the next goes on', async () => {
    const t = await aLane(['permanent', 'ok'])
    await t.put(aMessage({ key: 'bad' }), aMessage({ key: 'good' }))
    await t.drain()
    expect(t.sent.map(({ key }) => key)).toEqual(['bad', 'good'])
    expect(t.outcomes).toEqual(['permanent', 'sent'])
    expect(notifications(t.log)).toContainEqual({
      id: 'bad@r',
      receiver: 'r',
      state: 'failed',
      attempts: 1,
      error: 'scripted permanent',
    })
  })

  it('is given up after a day of failures', async () => {
    const t = await aLane(Array<'transient'>(1000).fill('transient'))
    await t.put(aMessage())
    await t.drain()
    expect(t.outcomes.at(-1)).toBe('expired')
    expect(t.sent.length).toBeGreaterThan(280)
    expect(notifications(t.log)).toHaveLength(4)
  })

  it('is looked for by the receiver once a try may have arrived', async () => {
    const t = await aLane(['transient', 'ambiguous', 'ok'])
    await t.put(aMessage())
    await t.drain()
    expect(t.sent.map(({ attempt }) => attempt.isUncertain)).toEqual([false, false, true])
  })

  it('is sent later to the addresses that were put off only', async () => {
    const t = await aLane([new DeliveryError('transient', 'put off', { remaining: ['b@x'] }), 'ok'])
    await t.put(aMessage())
    await t.drain()
    expect(t.sent.map(({ attempt }) => attempt.recipients)).toEqual([null, ['b@x']])
  })

  it('survives the death of the process and may then be looked for', async () => {
    const before = await aLane([])
    await before.put(aMessage())
    const after = await aLane([], before.log)
    await new Promise((resolve) => setTimeout(resolve, 1))
    await after.drain()
    expect(after.sent).toMatchObject([{ key: 'e1' }])
    const again = await aLane([], before.log)
    expect(again.outbox.size('r')).toBe(0)
  })

  it('is not sent twice when the log fails to record its delivery', async () => {
    const t = await aLane(['ok'])
    await t.put(aMessage())
    t.log.fail('before')
    const healed = t.drain()
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.log.fail('never')
    await healed
    expect(t.sent).toHaveLength(1)
  })
})
