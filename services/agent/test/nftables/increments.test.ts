import { expect, test } from 'vitest'
import { note, nothingPresent, transactions } from '../../src/nftables/transaction.ts'
import { applyYaml, clusterOf, namespace, pod } from '../cluster.ts'
import { hostEndpoint } from '../hosts.ts'
import { createRandom, randomPolicies } from '../random-policies.ts'
import { createKernelTable } from './kernel-table.ts'
import { rendering } from './rendering.ts'

const selectors = ['all()', "app == 'a'", "app != 'c'", "kind == 'host'"]
/** Edits of one run; each is held against the kernel. */
const steps = process.env.MARGAY_NIGHTLY === '1' ? 500 : 15
const addresses = new Map([['10.78.0.1', 'eth0']])

/** Cheap edits that touch everything there is: labels, pods, policies, tiers, host endpoints, network sets. */
function edit(random: (below: number) => number): { apply?: string; remove?: string } {
  const [name, label] = [`pod${random(4)}`, 'abc'[random(3)]]
  const ips = [`10.77.0.${name.slice(3)}`, ...(random(2) === 0 ? [`fd77::${name.slice(3)}`] : [])]
  switch (random(7)) {
    case 0:
      return { remove: `pods.core/shop/${name}` }
    case 1:
      return { apply: randomPolicies(random(50), { selectors, net4: '10.77.0.', net6: 'fd77::' }).policies }
    case 2:
      return {
        remove: `globalnetworkpolicies.projectcalico.org/-/${['first', 'second', 'default'][random(3)]}.p${random(2)}`,
      }
    case 3:
      return random(2) === 0
        ? { apply: hostEndpoint({ name: 'host', interfaceName: 'eth0', ips: ['10.78.0.1'] }) }
        : { remove: 'hostendpoints.projectcalico.org/-/host' }
    case 4:
      return {
        apply: `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: set, labels: {app: ${label}}}
spec: {nets: ${['[192.0.2.1]', '[192.0.2.0/24, 10.77.0.0/30]', "['2001:db8::/32']", '[]'][random(4)]}}
`,
      }
    default:
      return {
        apply: pod({ name, ips, labels: `{app: ${label}}`, ports: '[{name: web, containerPort: 80, protocol: TCP}]' }),
      }
  }
}

test.each([1, 2])(
  'after every edit the kernel holds what was planned, and no step asks the impossible (edits %i)',
  (seed) => {
    const random = createRandom(seed)
    const { tiers } = randomPolicies(seed, { selectors, net4: '10.77.0.', net6: 'fd77::' })
    const model = clusterOf(namespace('shop'), tiers)
    const { plan, renderer, update } = rendering(model, addresses)
    const kernel = createKernelTable()
    const present = nothingPresent()
    const write = () => {
      const { before, build, change, after } = transactions(present, plan, plan.changed)
      for (const changes of [before, build, change, after]) {
        kernel.commit(changes)
        note(present, changes)
      }
      plan.written()
      renderer.written()
    }
    write()
    for (let step = 0; step < steps; step += 1) {
      for (let count = random(3); count >= 0; count -= 1) {
        const { apply, remove } = edit(random)
        if (apply !== undefined) applyYaml(model, apply)
        if (remove !== undefined) model.remove(remove)
      }
      update()
      write()
      expect(new Map([...plan.chains].map(([name, { rules }]) => [name, rules.map((rule) => rule.join(' '))]))).toEqual(
        kernel.chains,
      )
      expect(new Map([...plan.sets].map(([name, { set }]) => [name, set.elements]))).toEqual(kernel.sets)
      expect(plan.size).toEqual({
        rules: [...kernel.chains.values()].reduce((sum, rules) => sum + rules.length, 0),
        elements: [...kernel.sets.values()].reduce((sum, elements) => sum + elements.size, 0),
      })
    }
    // Nothing is kept of what is gone.
    for (const { kind, namespace: space, name } of [...model.endpoints()])
      model.remove(
        kind === 'wep' ? `pods.core/${space}/${name.split('/').at(-1)}` : `hostendpoints.projectcalico.org/-/${name}`,
      )
    update()
    write()
    expect([...model.endpoints()].map(({ key }) => key)).toEqual([])
    expect([...kernel.chains.keys()].filter((name) => /^(po|pr|to|from)-(?!workload)/.test(name))).toEqual([])
    expect([...kernel.sets.keys()].sort()).toEqual([
      'from-classes',
      'from-workloads',
      'neighbours',
      'sources-4',
      'sources-6',
      'to-classes',
      'to-workloads',
    ])
  },
)

test('a label edit touches elements and dispatch only, a policy edit its own chains', () => {
  const { policies, tiers } = randomPolicies(50, { selectors: ["app in {'a', 'b'}"], net4: '10.77.0.', net6: 'fd77::' })
  const pods = ['a', 'b', 'a', 'b'].map((app, index) =>
    pod({ name: `pod${index}`, ips: [`10.77.0.${index}`], labels: `{app: ${app}}` }),
  )
  const model = clusterOf(namespace('shop'), tiers, policies, ...pods)
  const { plan, renderer, update } = rendering(model)
  plan.written()
  renderer.written()
  applyYaml(model, pod({ name: 'pod1', ips: ['10.77.0.1'], labels: '{app: a}' }))
  update()
  expect([...plan.changed.chains.keys()]).toEqual([])
  expect(plan.changed.sets.size).toBeGreaterThan(0)
  plan.written()
  const text = policies.split('\n---\n')[0] as string
  const edited = JSON.parse(text) as { spec: { ingress?: object[]; egress?: object[] } }
  ;(edited.spec.ingress ?? edited.spec.egress)?.push({ action: 'Deny', protocol: 'SCTP' })
  applyYaml(model, JSON.stringify(edited))
  update()
  expect([...plan.changed.chains.keys()].every((name) => name.startsWith('po-'))).toBe(true)
  expect(plan.changed.chains.size).toBeGreaterThan(0)
})
