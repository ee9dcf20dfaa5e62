import { defineConfig } from 'vitest/config'

const resolve = { conditions: ['source'] }
const ssr = { resolve: { conditions: ['source'] } }

/** Unit tests need nothing and take seconds; contract and system tests start real engines, a real broker, a real kernel lab. */
export default defineConfig({
  test: {
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
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'contract',
          root: new URL('..', import.meta.url).pathname,
          include: ['services/*/test/**/*.contract.test.ts', 'test/contracts/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 1,
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
          maxWorkers: 1,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
