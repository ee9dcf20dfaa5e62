import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { StoredRecord } from '../../src/event-log.ts'
import { runs, toRecord } from '../../src/log/kafka/messages.ts'
import { createPartitioner } from '../../src/log/partitioner.ts'

const stored = (size: number, offset: number): StoredRecord => ({
  topic: 't',
  partition: 0,
  offset,
  timestamp: 0,
  key: null,
  value: Buffer.alloc(size),
  headers: {},
})

it('splits records into runs within the limit, in order, without loss', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.integer({ min: 1, max: 100 }), (sizes, limit) => {
      const records = sizes.map(stored)
      const parts = runs(records, limit)
      expect(parts.flat()).toEqual(records)
      for (const part of parts) {
        const size = part.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
        expect(part.length === 1 || size <= limit).toBe(true)
      }
    }),
  )
})

it('reads a message, of a header that repeats the last', () => {
  const headers = { once: Buffer.from('a'), twice: [Buffer.from('b'), Buffer.from('c')] }
  const message = { offset: '7', timestamp: '1700000000000', key: Buffer.from('k'), value: null, headers }
  expect(toRecord('t', 2, message)).toEqual({
    topic: 't',
    partition: 2,
    offset: 7,
    timestamp: 1_700_000_000_000,
    key: 'k',
    value: null,
    headers: { once: 'a', twice: 'c' },
  })
})

it('keeps a key in one partition, lets records without a key take turns', () => {
  const choose = createPartitioner()
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (key, count) => {
      const partition = choose(key, count)
      expect(partition).toBe(createPartitioner()(key, count))
      expect(partition >= 0 && partition < count).toBe(true)
    }),
  )
  expect(new Set(Array.from({ length: 6 }, () => choose(null, 6))).size).toBe(6)
})
