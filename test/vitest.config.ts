import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './sequencer.ts'

const resolve = { conditions: ['source'] }
/** Tests on real engines mostly wait for them: more than there are cores. */
const workers = 4
const ssr = { resolve: { conditions: ['source'] } }

/** Unit tests need nothing and take seconds; contract and system tests start real engines, a real broker, a real kernel lab. */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new URL('./reporter.ts', import.meta.url).pathname],
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          root: new URL('..', import.meta.url).pathname,
          include: ['schemas/test/**/*.test.ts', 'services/*/test/**/*.test.ts', 'test/budgets/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/*.contract.test.ts', '**/*.system.test.ts'],
          pool: 'threads',
          isolate: false,
          // Vitest leaves a core to itself, which is half of a small machine.
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'contract',
          root: new URL('..', import.meta.url).pathname,
          include: ['{schemas,services/*}/test/**/*.contract.test.ts', 'test/contracts/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: workers,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'system',
          root: new URL('..', import.meta.url).pathname,
          include: ['services/*/test/**/*.system.test.ts', 'test/system/**/*.test.ts', 'test/console/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: workers,
          sequence: { groupOrder: 1 },
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
