import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../../src/policy/cluster.ts'
import type { Endpoint, ModelFollower, Policy, Profile, Stage } from '../../src/policy/model.ts'
import { keyOf } from '../../src/resources/kinds.ts'
import { anyChange, type Change } from './changes.ts'
import { aNetworkSet, aNode, aPod, aTier, clusterOf, gnp } from './make.ts'

const isNightly = process.env.MARGAY_NIGHTLY === '1'

const stages: readonly Stage[] = ['untracked', 'pre-dnat', 'normal', 'forward']
const directions = ['ingress', 'egress'] as const

/** What governs an endpoint, by name. */
const lists = (cluster: Cluster, endpoint: Endpoint) =>
  directions.map((direction) =>
    stages.map((stage) =>
      cluster
        .governing(endpoint, direction, stage)
        .map(({ tier, policies }) => [tier.name, tier.order, tier.defaultAction, policies.map(({ id }) => id)]),
    ),
  )

/** What somebody keeps who works on changes only. */
interface Kept {
  readonly endpoints: Map<string, { endpoint: Endpoint; governed: ReturnType<typeof lists> }>
  readonly policies: Map<string, Policy>
  readonly profiles: Map<string, Profile>
  readonly sets: Map<string, ReadonlySet<string>>
  hosts: unknown
}

const nothing = (): Kept => ({
  endpoints: new Map(),
  policies: new Map(),
  profiles: new Map(),
  sets: new Map(),
  hosts: null,
})

const hostsOf = (cluster: Cluster) => [
  cluster.nodeOf('172.20.0.1'),
  cluster.failsafes('ingress', 'node1'),
  cluster.endpointToHostAction('node1'),
]

const policiesOf = (cluster: Cluster) => cluster.tiers().flatMap(({ policies }) => policies)

function catchUp(kept: Kept, follower: ModelFollower, cluster: Cluster): void {
  const changes = follower.take()
  if (changes.tiers) for (const key of kept.endpoints.keys()) keepEndpoint(kept, cluster, key)
  for (const key of changes.endpoints) keepEndpoint(kept, cluster, key)
  const present = new Map(policiesOf(cluster).map((policy) => [policy.id, policy]))
  // Policies of a tier that does not exist are nowhere; they appear when it does.
  for (const id of changes.tiers ? [...kept.policies.keys(), ...present.keys()] : changes.policies) {
    const policy = present.get(id)
    if (policy === undefined) kept.policies.delete(id)
    else kept.policies.set(id, policy)
  }
  for (const name of changes.profiles) {
    const profile = cluster.profile(name)
    if (profile === null) kept.profiles.delete(name)
    else kept.profiles.set(name, profile)
  }
  for (const [id, delta] of changes.sets) {
    if (delta === null) {
      kept.sets.delete(id)
      continue
    }
    const members = new Set(kept.sets.get(id))
    for (const member of delta.removed) expect(members.delete(member)).toBe(true)
    for (const member of delta.added) {
      expect(members.has(member)).toBe(false)
      members.add(member)
    }
    kept.sets.set(id, members)
  }
  if (changes.settings) kept.hosts = hostsOf(cluster)
}

function keepEndpoint(kept: Kept, cluster: Cluster, key: string): void {
  const endpoint = cluster.endpoint(key)
  if (endpoint === null) kept.endpoints.delete(key)
  else kept.endpoints.set(key, { endpoint, governed: lists(cluster, endpoint) })
}

function setsOf({ ingress, egress }: Policy | Profile): string[] {
  return [...ingress, ...egress].flatMap(({ source, destination }) =>
    [source, destination].flatMap((end) => [...end.sets, ...end.notSets, ...end.portSets, ...end.notPortSets]),
  )
}

/** What somebody finds who looks at everything. */
function lookAtAll(cluster: Cluster): Kept {
  const kept = nothing()
  for (const endpoint of cluster.endpoints()) keepEndpoint(kept, cluster, endpoint.key)
  for (const policy of policiesOf(cluster)) kept.policies.set(policy.id, policy)
  for (const name of ['kns.ns', 'kns.other', 'extra']) {
    const profile = cluster.profile(name)
    if (profile !== null) kept.profiles.set(name, profile)
  }
  for (const id of [...kept.policies.values(), ...kept.profiles.values()].flatMap(setsOf))
    kept.sets.set(id, new Set(cluster.addressSet(id)?.members))
  kept.hosts = hostsOf(cluster)
  return kept
}

function comparable({ endpoints, policies, profiles, sets, hosts }: Kept, only: Kept) {
  const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    endpoints: sorted(endpoints),
    policies: sorted(policies),
    // Profiles that nothing makes are implied: nobody is told of them.
    profiles: sorted(profiles).filter(([name]) => only.profiles.has(name)),
    // Sets of policies in tiers that do not exist are in use, though nobody sees by what.
    sets: sorted(sets)
      .filter(([id]) => only.sets.has(id))
      .map(([id, members]) => [id, [...members].sort()]),
    hosts,
  }
}

function apply(cluster: Cluster, { resource, removed }: Change): void {
  if (removed) cluster.remove(keyOf(resource))
  else cluster.apply(resource)
}

describe('a follower of changes', () => {
  const stream = fc.array(
    fc.record({ change: anyChange, looks: fc.constantFrom<readonly number[]>([], [0], [1], [0, 1]) }),
    { maxLength: 30 },
  )

  test('that keeps what it derived, but for what it is told, has what one has that looks at everything', () => {
    fc.assert(
      fc.property(stream, (steps) => {
        const cluster = clusterOf()
        const followers = [cluster.follow(), cluster.follow()]
        const kept = [nothing(), nothing()]
        for (const { change, looks } of steps) {
          apply(cluster, change)
          for (const at of looks) {
            catchUp(kept[at] as Kept, followers[at] as ModelFollower, cluster)
            const all = lookAtAll(cluster)
            expect(comparable(kept[at] as Kept, all)).toEqual(comparable(all, kept[at] as Kept))
          }
        }
        for (const [at, follower] of followers.entries()) {
          catchUp(kept[at] as Kept, follower, cluster)
          const all = lookAtAll(cluster)
          expect(comparable(kept[at] as Kept, all)).toEqual(comparable(all, kept[at] as Kept))
          expect([...(kept[at] as Kept).sets.keys()].sort()).toEqual([...cluster.follow().take().sets.keys()].sort())
        }
      }),
      { numRuns: isNightly ? 5000 : 60 },
    )
  }, 120_000)

  const webs = (spec = {}) => gnp('p', { selector: "app == 'web'", ...spec })
  const rules = { ingress: [{ action: 'Allow', source: { selector: "app == 'api'" } }] }

  test('sees everything first and then nothing until something changes', () => {
    const cluster = clusterOf(
      aPod('a/w', '10.0.0.1', { app: 'web' }),
      aPod('a/x', '10.0.0.2', { app: 'api' }),
      webs(rules),
    )
    const follower = cluster.follow()
    const first = follower.take()
    expect([...first.endpoints].sort()).toEqual(['wep:a/w', 'wep:a/x'])
    expect([...first.policies]).toEqual(['gnp:p'])
    expect([...first.sets.values()]).toEqual([{ added: new Set(['10.0.0.2']), removed: new Set() }])
    expect(follower.take()).toEqual({
      endpoints: new Set(),
      policies: new Set(),
      profiles: new Set(),
      sets: new Map(),
      tiers: false,
      settings: false,
    })
  })

  test('is told only what a change touches', () => {
    const cluster = clusterOf(
      aPod('a/w', '10.0.0.1', { app: 'web' }),
      aPod('a/x', '10.0.0.2', { app: 'api' }),
      webs(rules),
      gnp('other', { selector: 'all()' }),
    )
    const follower = cluster.follow()
    follower.take()

    cluster.apply(aPod('a/y', '10.0.0.3', { app: 'api' }))
    expect(follower.take()).toMatchObject({ endpoints: new Set(['wep:a/y']), policies: new Set(), tiers: false })

    cluster.apply(aPod('a/y', '10.0.0.4', { app: 'api' }))
    const moved = follower.take()
    expect([...moved.sets.values()]).toEqual([{ added: new Set(['10.0.0.4']), removed: new Set(['10.0.0.3']) }])

    cluster.apply(aTier('t', 5))
    expect(follower.take()).toMatchObject({ tiers: true, policies: new Set(), endpoints: new Set() })
    cluster.apply(aNode('n', '172.20.0.1'))
    expect(follower.take()).toMatchObject({ settings: true, tiers: false })

    cluster.remove(keyOf(webs()))
    const last = follower.take()
    expect([...last.sets.values()]).toEqual([null])
    expect(last).toMatchObject({ endpoints: new Set(['wep:a/w']), policies: new Set(['gnp:p']) })
  })

  test('hears of a set that goes and comes back as a difference', () => {
    const cluster = clusterOf(aNetworkSet('s', { nets: ['192.0.2.1', '192.0.2.2'] }, { app: 'api' }), webs(rules))
    const follower = cluster.follow()
    const [id] = [...follower.take().sets.keys()] as [string]
    cluster.remove(keyOf(webs()))
    cluster.apply(aNetworkSet('s', { nets: ['192.0.2.2', '192.0.2.3'] }, { app: 'api' }))
    cluster.apply(webs(rules))
    expect(follower.take().sets.get(id)).toEqual({ added: new Set(['192.0.2.3']), removed: new Set(['192.0.2.1']) })
  })

  test('that has stopped is told nothing more', () => {
    const cluster = clusterOf()
    const follower = cluster.follow()
    follower.take()
    follower.stop()
    cluster.apply(aPod('a/w', '10.0.0.1'))
    expect(follower.take().endpoints).toEqual(new Set())
  })
})
