import fc from 'fast-check'
import { expect, it } from 'vitest'
import { assign } from '../../src/log/embedded/assignment.ts'

const partitions: Record<string, number> = { flows: 6, dns: 6, audit: 1, alerts: 1, status: 1 }
const partitionsOf = (topic: string) => partitions[topic] as number
const members = fc.uniqueArray(
  fc.record({ id: fc.string({ minLength: 1 }), topics: fc.subarray(Object.keys(partitions), { minLength: 1 }) }),
  { minLength: 1, maxLength: 8, selector: ({ id }) => id },
)

it('gives each partition that is wanted to exactly one member that wants it', () => {
  fc.assert(
    fc.property(members, (all) => {
      const shares = assign(all, partitionsOf)
      const given = [...shares].flatMap(([id, slots]) => slots.map((slot) => ({ id, ...slot })))
      for (const { id, topic } of given) expect(all.find((member) => member.id === id)?.topics).toContain(topic)
      const wanted = new Set(all.flatMap(({ topics }) => topics))
      const total = [...wanted].reduce((sum, topic) => sum + partitionsOf(topic), 0)
      expect(given.length).toBe(total)
      expect(new Set(given.map(({ topic, partition }) => `${topic}/${partition}`)).size).toBe(total)
    }),
  )
})

it('comes to the same answer whatever the order of the members', () => {
  fc.assert(
    fc.property(members, (all) => {
      const answer = (list: typeof all) => Object.fromEntries(assign(list, partitionsOf))
      expect(answer([...all].reverse())).toEqual(answer(all))
    }),
  )
})

it('is fair: members that want the same differ by one partition at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), (count) => {
      const topics = Object.keys(partitions)
      const sizes = [
        ...assign(
          Array.from({ length: count }, (_, n) => ({ id: `m${n}`, topics })),
          partitionsOf,
        ).values(),
      ].map(({ length }) => length)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
    }),
  )
})
