import { describe, expect, test } from 'vitest'
import { answer } from '../../src/conformance/answer.ts'
import { vectors as all, difference } from './vectors.ts'

const vectors = all.map((vector) => ({
  ...vector,
  given: answer(vector.ask, { id: vector.id, ...vector.request }),
}))
const files = [...new Set(vectors.map(({ file }) => file))]

describe('conformance vectors', () => {
  test.each(files)('%s', (file) => {
    const differences = vectors
      .filter((vector) => vector.file === file)
      .flatMap(({ id, given, expected }) => {
        const found = difference(given, expected)
        return found === null ? [] : [`${id}: ${found}`]
      })
    expect(differences).toEqual([])
  })

  test('an answer that is otherwise is told, for every vector', () => {
    const opposite = (expected: Record<string, unknown>) =>
      'verdict' in expected
        ? { ...expected, verdict: expected.verdict === 'allow' ? 'deny' : 'allow' }
        : { ...expected, valid: !expected.valid }
    const blind = vectors.filter(({ given, expected }) => difference(given, opposite(expected)) === null)
    expect(blind.map(({ id }) => id)).toEqual([])
  })

  test('every vector has an id of its own, which begins with a section of the specification', () => {
    const ids = vectors.map(({ id }) => id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
    expect(ids.filter((id) => !/^\d+(\.\d+)*-[a-z0-9-]+$/.test(id))).toEqual([])
  })
})
