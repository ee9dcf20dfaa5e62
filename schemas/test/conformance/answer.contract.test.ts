import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answer, answerLine, conformances } from '../../src/conformance/answer.ts'
import { type Vector, vectors } from './vectors.ts'

const runs = process.env.MARGAY_NIGHTLY === '1' ? 5000 : 60

describe('answers', () => {
  test('a line that is no vector is answered, with its number; an empty one is not', () => {
    expect(answerLine('selector', 'nonsense', 7)).toMatch(/^\{"id":null,"valid":false,"error":"line 7 is not JSON: /)
    expect(answerLine('policy', '[1]', 8)).toBe('{"id":null,"valid":false,"error":"line 8: a vector is a JSON object"}')
    expect(answerLine('query', '  \r', 9)).toBeNull()
  })

  test('an id is given back whatever it is', () => {
    const ids = fc.sample(fc.jsonValue(), 50)
    expect(ids.map((id) => answer('selector', { id, selector: '', labels: {} }))).toMatchObject(
      ids.map((id) => ({ id, valid: true })),
    )
  })

  test('what lacks a member says which', () => {
    const asked = [
      ['selector', { id: 1 }],
      ['selector', { id: 1, selector: 'all()', labels: { a: 1 } }],
      ['resource', { id: 1, resource: [] }],
      ['resource', { id: 1, resource: { kind: 'Tier' } }],
      ['policy', { id: 1, resources: {} }],
      ['policy', { id: 1, resources: [7], probe: { source: {}, destination: {} } }],
      ['policy', { id: 1, resources: [], probe: { source: { ip: 'x' }, destination: {} } }],
      ['policy', { id: 1, resources: [], probe: { source: { ip: '10.0.0.1' }, destination: {}, port: 1 } }],
      ['policy', { id: 1, resources: [], probe: { source: {}, destination: {}, protocol: 'XTP' } }],
      ['kubernetes', { id: 1, networkPolicy: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } } }],
      ['query', { id: 1, dataSet: 'flows' }],
    ] as const
    expect(asked.map(([conformance, request]) => (answer(conformance, request) as { error: string }).error)).toEqual([
      'selector must be text',
      'the value of label a must be text',
      'resource must be an object',
      'a resource has apiVersion, kind and metadata',
      'resources must be a list',
      'resources[0] must be an object',
      'probe.source.ip: must be an IPv4 or IPv6 address',
      '{} is none of pod, endpoint, host, ip, service and domain',
      'there is no protocol "XTP"',
      'v1 Pod is not a policy of Kubernetes',
      'query must be text',
    ])
  })

  test('vectors that were damaged somewhere are answered in words, never by a crash', () => {
    const damage = fc.record({
      index: fc.nat(vectors.length - 1),
      steps: fc.array(fc.nat(20), { minLength: 1, maxLength: 7 }),
      value: fc.oneof(fc.constant(null), fc.jsonValue({ maxDepth: 1 })),
    })
    fc.assert(
      fc.property(damage, ({ index, steps, value }) => {
        const vector = vectors[index] as Vector
        const request = damaged({ id: 1, ...vector.request }, steps, value)
        const text = JSON.stringify(answer(vector.ask, request))
        expect(text).not.toMatch(/Cannot |is not a function|is not iterable|undefined|out of range|Invalid array/)
      }),
      { numRuns: runs },
    )
  })

  test.each(conformances)('%s answers any JSON at all', (conformance) => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.parse(answerLine(conformance, text, 1) as string)).toHaveProperty('id')
      }),
      { numRuns: 50 },
    )
  })
})

/** A copy of a value with something else in one place; each step chooses a member or an item. */
function damaged(whole: unknown, [step = 0, ...rest]: readonly number[], value: unknown): unknown {
  if (typeof whole !== 'object' || whole === null) return value
  const members = Object.keys(whole)
  if (members.length === 0) return value
  const member = members[step % members.length] as string
  const copy = Array.isArray(whole) ? [...whole] : { ...whole }
  const inner = (copy as Record<string, unknown>)[member]
  ;(copy as Record<string, unknown>)[member] = rest.length === 0 ? value : damaged(inner, rest, value)
  return copy
}
