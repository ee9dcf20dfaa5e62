import { type Episode, judge } from '@margay/alerts/episodes'
import { groupHit, type Hit, rowHit } from '@margay/alerts/hit'
import { describe, expect, it } from 'vitest'

const hour = 3_600_000
const a = groupHit({ namespace: 'default', name: 'a' }, { count: 1 }, false)
const b = groupHit({ namespace: 'default', name: 'b' }, { count: 1 }, false)

/** Runs a sequence of windows, one hit list each, ends of windows in minutes; returns the fingerprints raised in each. */
function play(windows: readonly [minute: number, hits: readonly Hit[], isTruncated?: boolean][]): string[][] {
  const open = new Map<string, Episode>()
  return windows.map(([minute, hits, isTruncated = false]) => {
    const to = minute * 60_000
    const { raised, ended } = judge(open, { hits, isTruncated, window: { from: to - 60_000, to } }, hour)
    for (const { hit, episode } of raised) open.set(hit.fingerprint, episode)
    for (const fingerprint of ended) open.delete(fingerprint)
    return raised.map(({ hit, isRepeat }) => `${hit.record.name ?? 'row'}${isRepeat ? ' again' : ''}`)
  })
}

describe('an episode', () => {
  it('raises its group once while the condition holds', () => {
    expect(
      play([
        [1, [a]],
        [2, [a]],
        [3, [a, b]],
        [4, [b]],
      ]),
    ).toEqual([['a'], [], ['b'], []])
  })

  it('begins anew after a window without the group', () => {
    expect(
      play([
        [1, [a]],
        [2, []],
        [3, [a]],
      ]),
    ).toEqual([['a'], [], ['a']])
  })

  it('raises its group again after the repeat interval', () => {
    expect(
      play([
        [0, [a]],
        [59, [a]],
        [60, [a]],
        [119, [a]],
        [120, [a]],
      ]),
    ).toEqual([['a'], [], ['a again'], [], ['a again']])
  })

  it('does not end because a window was cut off at the cap', () => {
    expect(
      play([
        [1, [a, b]],
        [2, [a], true],
        [3, [a, b]],
      ]),
    ).toEqual([['a', 'b'], [], []])
  })

  it('of a single row is raised once, however long the row stays in the lookback', () => {
    const row = rowHit({ name: 'row' }, ['flow', 0, 7, 1])
    expect(
      play([
        [0, [row]],
        [30, [row]],
        [90, [row]],
      ]),
    ).toEqual([['row'], [], []])
  })

  it('is told by the values of the group, whatever their order', () => {
    expect(groupHit({ name: 'a', namespace: 'default' }, { count: 9 }, false).fingerprint).toBe(a.fingerprint)
    expect(groupHit({ name: 'a', namespace: '' }, {}, false).fingerprint).not.toBe(a.fingerprint)
  })
})
