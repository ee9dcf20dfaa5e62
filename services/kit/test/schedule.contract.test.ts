import { setTimeout } from 'node:timers/promises'
import { createReporter } from '@margay/kit/reporter'
import { createTicker } from '@margay/kit/schedule'
import { expect, it } from 'vitest'

it('a ticker wakes up each second, never twice at once, goes on after a failure and ends when told', async () => {
  const reporter = createReporter('test', { level: 'silent' })
  const runs: number[] = []
  let running = 0
  let most = 0
  const ticker = createTicker('tick', {
    reporter,
    async run() {
      running += 1
      most = Math.max(most, running)
      runs.push(Date.now())
      await setTimeout(1300)
      running -= 1
      if (runs.length === 1) throw new Error('scripted')
    },
  })
  await ticker.start?.()
  await setTimeout(5200)
  await ticker.stop?.()
  expect(running).toBe(0)
  const count = runs.length
  await setTimeout(1500)
  expect(runs.length).toBe(count)
  expect(count).toBeGreaterThanOrEqual(2)
  expect(most).toBe(1)
  const metrics = await reporter.registry.metrics()
  expect(metrics).toMatch(/margay_test_ticks_total\{outcome="failed"\} 1\n/)
  expect(metrics).toMatch(/outcome="overlapped"\} [1-9]/)
})
