import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { callUrl, parseCalls } from '../src/manifests/call.ts'
import { parseDocuments } from '../src/manifests/documents.ts'
import { netnsOf, suffixOf } from '../src/manifests/name.ts'
import { makePlan } from '../src/manifests/plan.ts'

const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/)
const call = fc.record({
  scheme: fc.constantFrom('http' as const, 'tcp' as const, 'udp' as const),
  host: fc.array(label, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.')),
  port: fc.integer({ min: 1, max: 65_535 }),
  path: fc.constantFrom('/', '/a', '/a/b?c=d'),
  everyMs: fc.integer({ min: 10, max: 600_000 }),
})

describe('calls', () => {
  it('are read as they are written', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 5 }), (calls) => {
        const text = calls.map((one) => `${callUrl(one)} every ${one.everyMs}ms`).join('; ')
        const read = parseCalls(text)
        expect(read.unread).toEqual([])
        expect(read.calls).toEqual(calls.map((one) => ({ ...one, origin: 'annotation' })))
      }),
    )
  })

  it('never fail to be read: what is none is told', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { calls, unread } = parseCalls(text)
        expect(calls.length + unread.length).toBeLessThanOrEqual(text.split(/[;\n]/).length)
        for (const { port, everyMs } of calls) {
          expect(everyMs).toBeGreaterThanOrEqual(10)
          expect(port === null || (port > 0 && port < 65_536)).toBe(true)
        }
      }),
    )
  })
})

describe('names', () => {
  it('of pods are letters that Kubernetes generates', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 12 }), (text, length) => {
        expect(suffixOf(text, length)).toMatch(new RegExp(`^[bcdfghjklmnpqrstvwxz2456789]{${length}}$`))
      }),
    )
  })

  it('of namespaces fit a file name and stay apart', () => {
    const long = 'x'.repeat(250)
    expect(netnsOf('mgy', 'a', long).length).toBeLessThan(256)
    expect(netnsOf('mgy', 'a', `${long}1`)).not.toBe(netnsOf('mgy', 'a', `${long}2`))
    expect(netnsOf('mgy', 'a-b', 'c')).not.toBe(netnsOf('mgy', 'a', 'b-c'))
  })
})

describe('a plan', () => {
  const workload = (name: string, replicas: number) =>
    `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\nspec: {replicas: ${replicas}, template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: a, image: x, ports: [{containerPort: 80}]}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {type: NodePort, selector: {app: ${name}}, ports: [{port: 80}]}\n`
  const set = fc.dictionary(label, fc.integer({ min: 0, max: 4 }), { maxKeys: 5 })
  const planOf = (workloads: Record<string, number>, nodes: number, previous?: ReturnType<typeof makePlan>) => {
    const text = Object.entries(workloads).map(([name, replicas]) => workload(name, replicas))
    return makePlan(parseDocuments(text.join('---\n'), 'test'), { id: 'tst', nodes, previous })
  }

  it('gives nobody what another has, whatever came and went', () => {
    fc.assert(
      fc.property(set, set, fc.integer({ min: 1, max: 4 }), (first, second, nodes) => {
        const before = planOf(first, nodes)
        const after = planOf(second, nodes, before)
        for (const { pods, services } of [before, after]) {
          const lists: readonly (readonly unknown[])[] = [
            pods.map(({ ip }) => ip),
            pods.map(({ netns }) => netns),
            pods.map(({ interfaceName }) => interfaceName),
            services.map(({ clusterIp }) => clusterIp),
            services.flatMap(({ ports }) => ports.map(({ nodePort }) => nodePort)),
          ]
          for (const taken of lists) expect(new Set(taken).size).toBe(taken.length)
        }
        const kept = before.pods.filter(({ name }) => after.pods.some((pod) => pod.name === name))
        for (const pod of kept) expect(after.pods).toContainEqual(pod)
      }),
      { numRuns: 25 },
    )
  })
})
