import { createReporter } from '@margay/kit/reporter'
import { expect, test } from 'vitest'
import { createLosses } from '../../src/flows/losses.ts'

test('a loss is counted, told with its extent, and forgotten after ten minutes', async () => {
  let now = 0
  const reporter = createReporter('agent', { level: 'silent' })
  const losses = createLosses({ reporter, now: () => now })
  losses.log(0, 0)
  losses.connections(0)
  expect(losses.health()).toEqual({ state: 'ok' })
  losses.log(120, 2)
  now = 5 * 60_000
  losses.log(3, 1)
  expect(losses.health()).toMatchObject({ state: 'degraded', reason: expect.stringContaining('123 logged packets') })
  losses.connections(1)
  expect(losses.health().reason).toContain('ends of connections 1 times')
  const metrics = await reporter.registry.metrics()
  expect(metrics).toMatch(/kernel_overruns_total\{source="log"\} 3/)
  expect(metrics).toMatch(/kernel_overruns_total\{source="connections"\} 1/)
  now += 10 * 60_000 + 1
  expect(losses.health()).toEqual({ state: 'ok' })
  losses.log(1, 1)
  expect(losses.health().reason).toContain('dropped 1 logged packets')
})
