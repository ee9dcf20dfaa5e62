import { linesOf } from '@margay/kit/blocks'
import type { LogRecord } from '@margay/kit/event-log'
import { createReporter } from '@margay/kit/reporter'
import { status } from '@margay/schemas'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createOutbox } from '../../src/flows/outbox.ts'

const events = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ time: from + i, padding: 'x'.repeat(1000) }))

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function harness(limitBytes: number) {
  const taken: LogRecord[] = []
  let down = false
  const outbox = createOutbox(
    { limitBytes, origin: { cluster: 'c', producer: 'agent/n' } },
    {
      reporter: createReporter('agent', { level: 'fatal' }),
      log: {
        async append(records) {
          if (down) throw new Error('no broker')
          taken.push(...records)
          return []
        },
      },
    },
  )
  function setDown(value: boolean): void {
    down = value
  }
  const times = () => taken.flatMap((r) => linesOf({ value: r.value })).map((line) => JSON.parse(line).time as number)
  return { outbox, times, setDown }
}

test('events reach the log once, in order, also when it does not answer for a while', async () => {
  const { outbox, times, setDown } = harness(1e9)
  await outbox.start?.()
  setDown(true)
  outbox.add(status, events(0, 3))
  await vi.advanceTimersByTimeAsync(1000)
  outbox.add(status, events(3, 3))
  expect(outbox.health?.()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('no broker') })
  setDown(false)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await outbox.drained(0)).toBe(true)
  expect(times()).toEqual([0, 1, 2, 3, 4, 5])
  expect(outbox.health?.()).toEqual({ state: 'ok' })
})

test('above the limit the oldest go, and the loss is told', async () => {
  const { outbox, times, setDown } = harness(5000)
  await outbox.start?.()
  setDown(true)
  for (let at = 0; at < 10; at += 1) outbox.add(status, events(at, 1))
  await vi.advanceTimersByTimeAsync(100)
  setDown(false)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(times().at(-1)).toBe(9)
  expect(times().length).toBeLessThan(10)
  const lost = 10 - times().length
  expect(outbox.health?.()).toMatchObject({ reason: expect.stringContaining(`${lost} events were lost`) })
})

test('stop does not hang on a log that never answers', async () => {
  const { outbox, setDown } = harness(1e9)
  await outbox.start?.()
  setDown(true)
  outbox.add(status, events(0, 1))
  const stopped = outbox.stop?.()
  await vi.advanceTimersByTimeAsync(5000)
  await stopped
})
