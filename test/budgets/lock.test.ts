import { expect, test } from 'vitest'
import { missingBinaries, readLock } from '../reference/lock.ts'

test('the lock file names the binaries of every platform (npx tsx test/reference/lock.ts adds them)', () => {
  expect(missingBinaries(readLock()).map(({ name }) => name)).toEqual([])
})

test('the lock file names no registry: every machine uses its own', () => {
  const resolved = Object.values(readLock().packages).flatMap(
    (entry) => (entry as { resolved?: string }).resolved ?? [],
  )
  expect(resolved.filter((address) => /^https?:/.test(address))).toEqual([])
})
