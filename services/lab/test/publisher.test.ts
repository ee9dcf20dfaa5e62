import { MargayError } from '@margay/kit/errors'
import { createReporter } from '@margay/kit/reporter'
import type { Resource } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { marked } from '../src/manifests/published.ts'
import { createPublisher } from '../src/publisher.ts'
import type { ResourceSink } from '../src/sink.ts'

const pod = (name: string, ip = '10.0.0.1') =>
  marked({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'a' }, status: { podIP: ip } }, 'tst')
const tier: Resource = { apiVersion: 'projectcalico.org/v3', kind: 'Tier', metadata: { name: 'security' } }

/** A sink in memory; `refuse` names resources that it finds invalid. */
function aSink(initial: readonly Resource[] = [], refuse: readonly string[] = []) {
  const held = new Map(initial.map((resource) => [resource.metadata.name, resource]))
  const calls: string[] = []
  let down = 0
  const sink: ResourceSink = {
    async apply(resources) {
      if (down-- > 0) throw new Error('connect ECONNREFUSED')
      const wrong = resources.find(({ metadata }) => refuse.includes(metadata.name))
      if (wrong) throw new MargayError('LAB_SINK_REFUSED', `${wrong.metadata.name} is wrong`)
      for (const resource of resources) held.set(resource.metadata.name, resource)
      calls.push(`apply ${resources.map(({ metadata }) => metadata.name).join()}`)
    },
    async remove(resources) {
      for (const { metadata } of resources) held.delete(metadata.name)
      if (resources.length > 0) calls.push(`remove ${resources.map(({ metadata }) => metadata.name).join()}`)
    },
    owned: async () => [...held.values()],
  }
  const publisher = (firstOnly: readonly Resource[] = []) =>
    createPublisher(
      { id: 'tst', firstOnly, retryMs: 1 },
      { sink, reporter: createReporter('lab', { level: 'silent' }) },
    )
  return {
    held,
    calls,
    publisher,
    fail: (times: number) => {
      down = times
    },
  }
}

describe('the publisher', () => {
  it('takes away what an earlier lab left, and sends only what changes afterwards', async () => {
    const { publisher, calls, held } = aSink([pod('old')])
    const it = publisher()
    await it.publish([pod('a'), pod('b')])
    await it.publish([pod('a'), pod('b', '10.0.0.2'), pod('c')])
    await it.publish([pod('c')])
    expect(calls).toEqual(['remove old', 'apply a,b', 'apply b,c', 'remove a,b', 'apply '])
    expect([...held.keys()]).toEqual(['c'])
  })

  it('brings the demonstration’s policies once: what a user deleted of them stays deleted', async () => {
    const other: Resource = { ...tier, metadata: { name: 'platform' } }
    const { publisher, held } = aSink()
    await publisher([tier, other]).publish([pod('a')])
    expect([...held.keys()]).toEqual(['a', 'security', 'platform'])
    held.delete('platform')
    await publisher([tier, other]).publish([pod('a')])
    expect([...held.keys()]).toEqual(['a', 'security'])
    await publisher().publish([pod('a')])
    expect([...held.keys()], 'a lab of other manifests has none').toEqual(['a'])
  })

  it('tries again while the API does not answer', async () => {
    const { publisher, fail, held } = aSink()
    fail(1)
    const it = publisher()
    await it.publish([pod('a')])
    expect([...held.keys()]).toEqual(['a'])
    expect(it.health?.()).toEqual({ state: 'ok' })
  })

  it('gives up when it is stopped', async () => {
    const { publisher, fail } = aSink()
    fail(1000)
    const it = publisher()
    const published = it.publish([pod('a')])
    await it.stop?.()
    await published
    expect(it.health?.().state).toBe('degraded')
  })

  it('does not let a wrong resource keep the others out', async () => {
    const { publisher, held } = aSink([], ['bad'])
    const it = publisher()
    await it.publish([pod('a'), pod('bad'), pod('c')])
    expect([...held.keys()]).toEqual(['a', 'c'])
    expect(it.refused).toEqual(['Pod a/bad: bad is wrong'])
    expect(it.health?.().state).toBe('degraded')
  })
})
