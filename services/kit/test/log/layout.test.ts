import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  decodeHead,
  decodePlace,
  decodeRecord,
  encodeHead,
  encodePlace,
  encodeRecord,
  offsetOfRecordKey,
  readTimeKey,
  recordKey,
  stampRecord,
  timeKey,
} from '../../src/log/embedded/layout.ts'

const long = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
const record = fc.record({
  key: fc.option(fc.string({ unit: 'grapheme' })),
  value: fc.option(bytes),
  headers: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { noNullPrototype: true }),
})

it('gives back any record', () => {
  fc.assert(
    fc.property(record, fc.integer({ min: 0, max: 2 ** 48 - 1 }), (input, time) => {
      const encoded = encodeRecord(input)
      stampRecord(encoded, time)
      const expected = { ...input, topic: 't', partition: 3, offset: 9, timestamp: time }
      expect(decodeRecord(encoded, 't', 3, 9)).toEqual(expected)
    }),
  )
})

it('takes no damaged record for a whole one', () => {
  fc.assert(
    fc.property(record, fc.nat(), fc.integer({ min: 1, max: 255 }), (input, where, change) => {
      const encoded = encodeRecord(input)
      // The flags and the timestamp are outside the checksum: the timestamp is written under the lock.
      const guarded = [0, ...Array.from({ length: encoded.length - 8 }, (_, index) => index + 8)]
      const at = guarded[where % guarded.length] as number
      encoded[at] = (encoded[at] as number) ^ change
      expect(() => decodeRecord(encoded, 't', 0, 0)).toThrow(expect.objectContaining({ code: 'LOG_CORRUPT' }))
      expect(() => decodeRecord(encoded.subarray(0, 10), 't', 0, 0)).toThrow(/damaged/)
    }),
  )
})

it('orders keys as the numbers in them', () => {
  fc.assert(
    fc.property(long, long, (a, b) => {
      expect(Math.sign(recordKey(1, 2, a).compare(recordKey(1, 2, b)))).toBe(Math.sign(a - b))
      expect(Math.sign(timeKey(1, 2, a, 0).compare(timeKey(1, 2, b, 0)))).toBe(Math.sign(a - b))
      expect(offsetOfRecordKey(recordKey(1, 2, a))).toBe(a)
      expect(readTimeKey(timeKey(1, 2, a, b))).toEqual({ time: a, offset: b })
      expect(recordKey(1, 2, a).compare(recordKey(1, 3, 0))).toBe(-1)
      expect(recordKey(1, 65535, a).compare(recordKey(2, 0, 0))).toBe(-1)
    }),
  )
})

it('keeps heads and places', () => {
  fc.assert(
    fc.property(long, long, long, (next, earliest, time) => {
      expect(decodeHead(encodeHead({ next, earliest, time }))).toEqual({ next, earliest, time })
      expect(decodePlace(encodePlace(next, time))).toEqual({ offset: next, time })
    }),
  )
  expect(decodeHead(undefined)).toEqual({ next: 0, earliest: 0, time: 0 })
})
