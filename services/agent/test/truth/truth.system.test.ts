import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createCluster, evaluate, keyOf, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestNode, type TestNode, type TestPod, whyNot } from '../node.ts'
import { createRandom } from '../random-policies.ts'
import { createTestCluster, type RunningAgent, type TestCluster } from '../running-agent.ts'
import { agrees, type Difference, differencesOf, flowIndex, packetOf, type TruthProbe } from './comparison.ts'
import type { ProbeAnswer, ProbeBatch } from './prober.ts'
import { shrink } from './shrink.ts'
import { createWorld, probedPorts } from './world.ts'

const reason = whyNot()
if (reason !== null) console.warn(`truth test skipped: ${reason}`)

const isNightly = process.env.MARGAY_NIGHTLY === '1'
/** Worlds by seed, steps in each, and connections tried after each step: 2,400 connections, and 102,400 at night. */
const amount = isNightly ? { worlds: 16, steps: 16, probes: 400 } : { worlds: 2, steps: 6, probes: 200 }

const felix: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'FelixConfiguration',
  metadata: { name: 'default' },
  spec: { flowLogsFileAggregationKindForAllowed: 0, flowLogsFileAggregationKindForDenied: 0 },
}

describe.skipIf(reason !== null)('the kernel and the evaluator', { timeout: isNightly ? 3_600_000 : 180_000 }, () => {
  let node: TestNode
  let prober: ChildProcess

  beforeAll(async () => {
    node = createTestNode(6)
    for (const { netns } of node.pods)
      for (const setting of [
        'net.ipv4.icmp_ratelimit=0',
        'net.ipv4.icmp_msgs_per_sec=100000',
        'net.ipv6.icmp.ratelimit=0',
      ])
        node.run('ip', 'netns', 'exec', netns, 'sysctl', '-qw', setting)
    prober = fork(new URL('./prober.ts', import.meta.url).pathname, [], {
      execArgv: ['--import', 'tsx', '--conditions=source'],
    })
    await once(prober, 'message')
  })

  afterAll(() => {
    prober?.disconnect()
    node?.remove()
  })

  async function ask(probes: readonly TruthProbe[], patienceMs: number): Promise<ProbeAnswer[]> {
    const pod = (index: number) => node.pods[index] as TestPod
    const batch: ProbeBatch = {
      patienceMs,
      probes: probes.map(({ from, to, family, protocol, port }) => ({
        netns: pod(from).netns,
        to: family === 4 ? pod(to).ip : pod(to).ip6,
        protocol,
        port,
      })),
    }
    prober.send(batch)
    const [answers] = (await once(prober, 'message')) as [ProbeAnswer[]]
    return answers
  }

  /**
   * Writes all that is known. A connection that was seen before its verdict is told by a later reading only: read until nothing new starts.
   * Echo requests have no ports, so one that is told late would pass for one of the next policies.
   */
  async function flush({ agent }: RunningAgent, cluster: TestCluster): Promise<void> {
    for (let reading = 0, isOver = false; reading < 8 && !isOver; reading += 1) {
      const before = cluster.flows().length
      await agent.flush()
      isOver = reading > 0 && cluster.flows().every((flow, at) => at < before || flow.num_flows_started === 0)
    }
  }

  /** Tries connections under what is in force, and holds answers and flow records against the evaluator. */
  async function examine(
    running: RunningAgent,
    cluster: TestCluster,
    resources: readonly Resource[],
    probes: readonly TruthProbe[],
  ) {
    const model = createCluster()
    for (const resource of resources) model.apply(resource)
    await flush(running, cluster)
    const before = cluster.flows().length
    const packet = (probe: TruthProbe, answer: ProbeAnswer) => packetOf(probe, node.pods, answer.sourcePort)
    const asked = await ask(probes, 400)
    const tried = probes.map((probe, index) => ({ probe, answer: asked[index] as ProbeAnswer }))
    // A machine that is busy answers late: who seems to differ is asked again, with patience.
    const doubted = tried.filter(({ probe, answer }) => !agrees(evaluate(model, packet(probe, answer)), answer))
    if (doubted.length > 0) {
      const again = await ask(
        doubted.map(({ probe }) => probe),
        3000,
      )
      for (const [index, one] of doubted.entries()) one.answer = again[index] as ProbeAnswer
    }
    await flush(running, cluster)
    const flowsOf = flowIndex(cluster.flows().slice(before))
    const verdicts = { allow: 0, deny: 0 }
    const steps = new Set<string>()
    const differences = tried.flatMap(({ probe, answer }) => {
      const { verdict, egress, ingress } = evaluate(model, packet(probe, answer))
      verdicts[verdict] += 1
      for (const { action, ruleIndex, ref } of [...(egress?.trace ?? []), ...(ingress?.trace ?? [])])
        steps.add(`${ref.kind} ${action} ${ruleIndex < 0 ? 'end' : 'rule'}`)
      return differencesOf(probe, packet(probe, answer), answer, model, flowsOf)
    })
    return { differences, verdicts, steps }
  }

  /** An agent on an otherwise empty node that is given exactly these resources. */
  async function alone(resources: readonly Resource[], probes: readonly TruthProbe[]): Promise<Difference[]> {
    const cluster = createTestCluster()
    await cluster.put([felix, ...resources])
    const running = await cluster.startAgent(node, { uninstall: true })
    try {
      return (await examine(running, cluster, resources, probes)).differences
    } finally {
      await running.stop()
    }
  }

  async function report(
    seed: number,
    differences: readonly Difference[],
    resources: readonly Resource[],
  ): Promise<string> {
    const [first] = differences as [Difference]
    const again = await alone(resources, [first.probe])
    const head = `${differences.length} differences in world ${seed}; the first: ${JSON.stringify(first, null, 1)}`
    if (again.length === 0)
      return `${head}\nA fresh agent with the same resources does not show it: it comes of the changes that led there.`
    const least = await shrink(resources, {
      fails: async (candidate) => (await alone(candidate, [first.probe])).some(({ what }) => what === again[0]?.what),
      isFixed: ({ kind }) => kind === 'Pod' || kind === 'Namespace',
      attempts: 60,
    })
    return `${head}\nThe least that shows it:\n${least.map((resource) => JSON.stringify(resource)).join('\n')}`
  }

  test.each(Array.from({ length: amount.worlds }, (_, index) => index + 1))(
    'agree on every verdict and every rule that led to it, in world %i and through its changes',
    async (seed) => {
      const random = createRandom(seed * 7919)
      const world = createWorld(random, node.pods, '10.77.0.', 'fd77::')
      const cluster = createTestCluster()
      await cluster.put([felix])
      const running = await cluster.startAgent(node, { uninstall: true })
      const total = { allow: 0, deny: 0 }
      const kinds = new Set<string>()
      try {
        for (let step = 0; step < amount.steps; step += 1) {
          const { changed, removed } = world.step()
          await cluster.put([...changed, ...removed.map((resource) => ({ key: keyOf(resource) }))])
          await running.agent.programmer.settled()
          const probes = Array.from({ length: amount.probes }, (): TruthProbe => {
            const from = random(node.pods.length)
            return {
              from,
              to: (from + 1 + random(node.pods.length - 1)) % node.pods.length,
              family: random(3) === 0 ? 6 : 4,
              protocol: (['tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp'] as const)[random(6)] as TruthProbe['protocol'],
              port: probedPorts[random(probedPorts.length)] as number,
            }
          })
          const resources = [...world.resources.values()]
          const { differences, verdicts, steps } = await examine(running, cluster, resources, probes)
          total.allow += verdicts.allow
          total.deny += verdicts.deny
          for (const kind of steps) kinds.add(kind)
          if (differences.length > 0) {
            await running.stop()
            expect.fail(await report(seed, differences, resources))
          }
        }
        // The worlds must give the kernel something to decide.
        expect(Math.min(total.allow, total.deny)).toBeGreaterThan((amount.steps * amount.probes) / 20)
        expect(kinds.size).toBeGreaterThanOrEqual(8)
      } finally {
        await running.stop()
      }
    },
  )
})
