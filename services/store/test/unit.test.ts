import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cut, tokenOf, type Unit } from '../src/unit.ts'
import { aRecord, topic } from './fakes.ts'

const records = (...offsets: number[]) => offsets.map((offset) => aRecord(offset, ['x']))
const unit = (first: number, last: number): Unit => ({
  topic,
  partition: 0,
  first,
  last,
  at: aRecord(first, []).timestamp,
})
const outline = (pieces: ReturnType<typeof cut>) =>
  pieces.map((piece) =>
    piece.kind === 'skip' ? `skip ${piece.last}` : `${piece.unit.first}-${piece.unit.last}${piece.known ? '!' : ''}`,
  )
const wide = { rows: 1000, bytes: 1e9 }

describe('cutting a batch into units', () => {
  it('makes one unit of what the limits allow', () => {
    expect(outline(cut(records(1, 2, 3), [], wide))).toEqual(['1-3'])
    expect(outline(cut(records(1, 2, 3), [], { rows: 2, bytes: 1e9 }))).toEqual(['1-2', '3-3'])
    expect(outline(cut(records(1, 2, 3), [], { rows: 9, bytes: 1 }))).toEqual(['1-1', '2-2', '3-3'])
  })

  it('counts the rows that a block says it has', () => {
    const blocks = [aRecord(1, [], { count: '600' }), aRecord(2, [], { count: '600' }), aRecord(3, [], { count: 'x' })]
    expect(outline(cut(blocks, [], wide))).toEqual(['1-1', '2-3'])
  })

  it('cuts again where it cut before, whatever the limits are now', () => {
    expect(outline(cut(records(1, 2, 3, 4, 5), [unit(1, 2), unit(3, 4)], { rows: 1, bytes: 1 }))).toEqual([
      '1-2!',
      '3-4!',
      '5-5',
    ])
    expect(outline(cut(records(0, 1, 2, 3), [unit(2, 3)], wide))).toEqual(['0-1', '2-3!'])
  })

  it('keeps a unit whose end lies beyond the batch', () => {
    expect(outline(cut(records(1, 2), [unit(1, 9)], wide))).toEqual(['1-9!'])
  })

  it('skips what a unit that began earlier has stored', () => {
    expect(outline(cut(records(3, 4, 5, 6), [unit(1, 4)], wide))).toEqual(['skip 4', '5-6'])
  })

  it('knows a unit of another log by the time of its first record', () => {
    expect(outline(cut(records(1, 2, 3), [{ ...unit(1, 2), at: 1 }], wide))).toEqual(['1-3'])
  })

  it('names a unit by its ends and its first moment', () => {
    expect(tokenOf(unit(3, 4))).toBe(`${topic}/0/3-4@${unit(3, 4).at}`)
  })

  it('never loses, doubles or reorders a record, and cutting again gives the same units', () => {
    const offsets = fc
      .uniqueArray(fc.nat(60), { minLength: 1, maxLength: 30 })
      .map((list) => list.sort((a, b) => a - b))
    fc.assert(
      fc.property(offsets, fc.integer({ min: 1, max: 9 }), fc.nat(30), (list, rows, split) => {
        const all = records(...list)
        const limits = { rows, bytes: 1e9 }
        const pieces = cut(all, [], limits)
        expect(pieces.flatMap((piece) => (piece.kind === 'insert' ? piece.records : []))).toEqual(all)
        const known = pieces.flatMap((piece) => (piece.kind === 'insert' ? [piece.unit] : []))
        const later = cut(all, known, { rows: 1 + split, bytes: 1e9 })
        expect(outline(later).map((text) => text.replace('!', ''))).toEqual(outline(pieces))
      }),
    )
  })
})
