import { createCluster } from '@margay/schemas'
import { describe, expect, test } from 'vitest'
import { createNftablesDataplane } from '../../src/nftables/dataplane.ts'
import { tableName } from '../../src/nftables/ruleset.ts'
import { refused } from '../../src/nftables/wire/refusal.ts'
import { createTableWriter, type TableWriter } from '../../src/nftables/wire/table-writer.ts'
import { applyYaml, namespace, pod } from '../cluster.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from '../node.ts'
import { type Probe, runProbes } from '../probes.ts'
import { programming } from './programming.ts'
import { type DataplaneFixture, dataplaneSuite } from './suite.ts'

const reason = whyNot()
if (reason !== null) console.warn(`nftables data plane test skipped: ${reason}`)

const open = (node: TestNode): TableWriter =>
  createTableWriter(
    { netns: node.netns, table: tableName },
    {
      warn(fields, message) {
        throw new Error(`${message}: ${fields.error}`)
      },
    },
  )

/** A data plane of a node, with a writer that refuses what it is told to. */
function fixtureOf(node: TestNode): DataplaneFixture {
  const model = createCluster()
  const writer = open(node)
  const refusals = new Map<string, string>()
  const dataplane = createNftablesDataplane({
    model,
    domains: { fill: async () => {} },
    generation: writer.generation,
    now: Date.now,
    writer: {
      form: 'netlink',
      list: writer.list,
      close: writer.close,
      async commit(changes) {
        const change = changes.findIndex(({ type, cause = '' }) => type === 'rules' && refusals.has(cause))
        const cause = changes[change]?.cause
        if (cause === undefined) return writer.commit(changes)
        throw refused(tableName, [{ change, object: 'a rule', reason: refusals.get(cause) ?? '', errno: 12, cause }])
      },
    },
  })
  const [a, b] = node.pods as [TestPod, TestPod]
  return {
    dataplane,
    model,
    pods: node.pods.map(({ ip, ip6 }, index) => ({ name: 'ab'[index] as string, ips: [ip, ip6] })),
    program: programming(dataplane, model, (ip) => node.pods.find((p) => p.ip === ip)?.interfaceName ?? null),
    async connects(...ports) {
      const probes = ports.map((port): Probe => ({ from: a, to: b.ip, protocol: 'tcp', port }))
      const answered = await runProbes(probes)
      return probes.map((probe) => answered.get(probe) === true)
    },
    refuse(policy, why) {
      if (why === null) refusals.delete(policy)
      else refusals.set(policy, why)
    },
    harm: () => void node.run('nft', 'flush', 'ruleset'),
    close() {
      dataplane.close()
      node.remove()
    },
  }
}

describe.skipIf(reason !== null)('on a real kernel', { timeout: 30_000 }, () => {
  dataplaneSuite('nftables', async () => fixtureOf(createTestNode(2)), 30_000)

  test('what the kernel itself refuses of a policy is told with its words, and the others are in force', async () => {
    const node = createTestNode(2)
    const at = fixtureOf(node)
    try {
      const web = (name: string, ports: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {selector: all(), types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: ${ports}}}]}
---
`
      applyYaml(at.model, namespace('shop') + at.pods.map((p) => pod(p)).join(''))
      await at.program()
      // Somebody has made a set of the name that the policy's list of ports gets, and of another kind.
      applyYaml(at.model, web('bad', '[7001, 7005]'))
      await at.program()
      const name = /set (b-[0-9a-f]+) /.exec(node.run('nft', 'list', 'sets', 'inet'))?.[1] as string
      at.model.remove('globalnetworkpolicies.projectcalico.org/-/bad')
      await at.program()
      node.run('nft', 'add', 'set', 'inet', 'margay', name, '{ type ipv6_addr; }')
      applyYaml(at.model, web('bad', '[7001, 7005]') + web('good', '[7003]'))
      const { refused: told } = await at.program()
      expect([...told.keys()]).toEqual(['gnp:bad'])
      expect(told.get('gnp:bad')).toMatch(new RegExp(`${name}.*gnp:bad.*\\(E[A-Z]+\\)`))
      expect(await at.connects(7001, 7003)).toEqual([false, true])
    } finally {
      at.close()
    }
  })

  test('rules that somebody empties come back within seconds, though nothing is missing by name', async () => {
    const node = createTestNode(2)
    const at = fixtureOf(node)
    try {
      applyYaml(at.model, namespace('shop') + at.pods.map((p) => pod(p)).join(''))
      await at.program()
      const rules = () =>
        node.run('nft', 'list', 'chain', 'inet', 'margay', 'from-workload').match(/vmap/g)?.length ?? 0
      expect(rules()).toBe(2)
      node.run('nft', 'flush', 'chain', 'inet', 'margay', 'from-workload')
      expect(rules()).toBe(0)
      await expect
        .poll(
          async () => {
            if (at.dataplane.drifted()) await at.program()
            return rules()
          },
          { timeout: 9_000, interval: 50 },
        )
        .toBe(2)
      // What others do to tables of their own is no reason to write ours again and again.
      await expect.poll(() => at.dataplane.drifted(), { timeout: 9_000, interval: 50 }).toBe(false)
    } finally {
      at.close()
    }
  })
})
