import type { Cluster } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dataplane, Programmed } from '../../src/dataplane/dataplane.ts'
import { applyYaml, namespace, pod } from '../cluster.ts'

/** A data plane under test, with two pods, `a` and `b`, on its node. */
export interface DataplaneFixture {
  readonly dataplane: Dataplane
  /** The cluster that it was made with. */
  readonly model: Cluster
  readonly pods: readonly { readonly name: string; readonly ips: readonly string[] }[]
  /** Programs what has changed in the cluster. */
  program(): Promise<Programmed>
  /** Whether TCP connections from `a` to ports of `b` come through, tried at the same time. */
  connects(...ports: number[]): Promise<boolean[]>
  /** From now on the kernel does not take a policy, and says why; null takes it again. */
  refuse(policy: string, reason: string | null): void
  /** Somebody else takes away what was programmed; null where nobody can. */
  readonly harm: (() => void) | null
  close(): void
}

const policy = (name: string, spec: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {${spec}}
---
`
const toB = (name: string, port: number) =>
  policy(
    name,
    `selector: app == 'b', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'a'}, destination: {ports: [${port}]}}]`,
  )
const keyOf = (name: string) => `globalnetworkpolicies.projectcalico.org/-/${name}`

/** What every data plane does. The tests build on one another, in order. */
export function dataplaneSuite(name: string, create: () => Promise<DataplaneFixture>, timeout: number): void {
  describe(`the ${name} data plane`, { timeout }, () => {
    let at: DataplaneFixture

    beforeAll(async () => {
      at = await create()
      applyYaml(at.model, namespace('shop') + at.pods.map((p) => pod({ ...p, labels: `{app: ${p.name}}` })).join(''))
    })
    afterAll(() => at?.close())

    test('gives a reason for everything that it cannot do', () => {
      for (const [what, { on, reason }] of Object.entries(at.dataplane.capabilities))
        expect(on || (reason ?? '').length > 10, what).toBe(true)
    })

    test('lets everything pass before policy, and what policy says afterwards', async () => {
      expect(await at.connects(80)).toEqual([true])
      expect(await at.program()).toMatchObject({ policies: 0, changed: true })
      expect(await at.connects(80)).toEqual([true])
      applyYaml(at.model, toB('web', 80))
      expect(await at.program()).toMatchObject({ policies: 1, changed: true, refused: new Map() })
      expect(await at.connects(80, 81)).toEqual([true, false])
    })

    test('has nothing to do when nothing has changed', async () => {
      const before = await at.dataplane.readBack()
      expect(await at.program()).toMatchObject({ policies: 1, changed: false })
      expect(await at.dataplane.readBack()).toEqual(before)
      expect(before).toMatchObject({ missing: [], unknown: [] })
    })

    test('follows policies, labels and addresses', async () => {
      const { digest } = await at.dataplane.readBack()
      applyYaml(at.model, toB('web', 81) + toB('more', 82))
      expect(await at.program()).toMatchObject({ policies: 2 })
      expect((await at.dataplane.readBack()).digest).not.toBe(digest)
      const [a] = at.pods
      const relabelled = pod({ name: 'a', ips: a?.ips ?? [], labels: '{app: c}' })
      expect(await at.connects(80, 81, 82)).toEqual([false, true, true])
      applyYaml(at.model, relabelled)
      await at.program()
      expect(await at.connects(81, 82)).toEqual([false, false])
      applyYaml(at.model, pod({ name: 'a', ips: a?.ips ?? [], labels: '{app: a}' }))
      at.model.remove(keyOf('more'))
      expect(await at.program()).toMatchObject({ policies: 1 })
      expect(await at.connects(81, 82)).toEqual([true, false])
    })

    test('knows which rule a logged packet met, also when it has just been replaced', async () => {
      expect(at.dataplane.hit('API0|default|gnp|-|web')).toMatchObject({ action: 'allow', ruleIndex: 0 })
      expect(at.dataplane.hit('API0|default|gnp|-|more')).toMatchObject({ ref: { name: 'more' } })
      expect(at.dataplane.hit('API0|default|gnp|-|none')).toBeNull()
    })

    test('keeps the last good form of a policy that is refused, and enforces all others', async () => {
      at.refuse('gnp:web', 'the kernel has no memory left')
      applyYaml(at.model, toB('web', 85) + toB('other', 86))
      const { refused, policies } = await at.program()
      expect([[...refused.keys()], policies]).toEqual([['gnp:web'], 2])
      expect(refused.get('gnp:web')).toContain('no memory left')
      expect(await at.connects(81, 85, 86)).toEqual([true, false, true])
      expect(await at.dataplane.readBack()).toMatchObject({ missing: [], unknown: [] })
      at.refuse('gnp:web', null)
      applyYaml(at.model, toB('web', 87))
      expect(await at.program()).toMatchObject({ refused: new Map() })
      expect(await at.connects(81, 86, 87)).toEqual([false, true, true])
    })

    test('treats a policy that was never good as if it were not there', async () => {
      at.refuse('gnp:deny', 'the kernel takes it for wrong')
      applyYaml(at.model, policy('deny', "order: 1, selector: app == 'b', types: [Ingress], ingress: [{action: Deny}]"))
      expect([...(await at.program()).refused.keys()]).toEqual(['gnp:deny'])
      expect(await at.connects(86, 88)).toEqual([true, false])
      at.model.remove(keyOf('deny'))
      at.refuse('gnp:deny', null)
      expect(await at.program()).toMatchObject({ policies: 2, refused: new Map() })
    })

    test('counts verdicts by policy where it can', () => {
      const counters = at.dataplane.counters()
      if (!at.dataplane.capabilities.counters.on) expect(counters).toEqual([])
      else expect(counters.find((counter) => counter.policy === 'gnp:web')?.allowed).toBeGreaterThan(0)
    })

    test('notices what somebody else did to it, and puts it right', async () => {
      expect(at.dataplane.drifted()).toBe(false)
      if (at.harm === null) return
      at.harm()
      expect(at.dataplane.drifted()).toBe(true)
      expect((await at.dataplane.readBack()).missing.length).toBeGreaterThan(0)
      expect(await at.program()).toMatchObject({ changed: true })
      expect(await at.dataplane.readBack()).toMatchObject({ missing: [], unknown: [] })
      expect(await at.connects(86, 88)).toEqual([true, false])
    })

    test('leaves nothing behind', async () => {
      await at.dataplane.remove()
      expect(await at.dataplane.readBack()).toMatchObject({ chains: 0, sets: 0 })
      expect(await at.connects(88)).toEqual([true])
    })
  })
}
