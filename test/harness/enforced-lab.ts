import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, createCluster, type FlowEvent, keyOf, parseResources, type Resource } from '@margay/schemas'
import { createTestCluster, type RunningAgent } from '../../services/agent/test/running-agent.ts'
import { type LabOptions, startLab, type TestLab } from './lab.ts'

/** A lab in the kernel with an agent on each node, in this process, on an event log in memory: policy and flow records without the rest of the product. */
export interface EnforcedLab {
  readonly lab: TestLab
  /** The evaluator's cluster, of the same resources as the agents'. */
  readonly cluster: Cluster
  /** Applies resources (YAML, or as they are), takes others away, and resolves when the kernel of every node has them. */
  change(apply: string | readonly Resource[], remove?: string): Promise<void>
  /** Makes the agents write what they saw; gives the flow records that are new since the last call. */
  newFlows(): Promise<FlowEvent[]>
  stop(): Promise<void>
}

/** Starts the lab, and an agent on each of its nodes with the lab's own resources. */
export async function startEnforcedLab(options: LabOptions): Promise<EnforcedLab> {
  const dir = mkdtempSync(join(tmpdir(), 'margay-enforced-'))
  const lab = await startLab(options)
  const agents: RunningAgent[] = []
  const cluster = createCluster()
  const shared = createTestCluster()
  let told = 0

  async function stop(): Promise<void> {
    for (const agent of agents) await agent.stop()
    await lab.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  async function change(apply: string | readonly Resource[], remove = ''): Promise<void> {
    const resources =
      typeof apply === 'string' ? parseResources(apply).resources.map(({ resource }) => resource) : apply
    for (const resource of resources) cluster.apply(resource)
    if (typeof apply === 'string') await shared.apply(apply)
    else await shared.put(apply)
    for (const { resource } of parseResources(remove).resources) cluster.remove(keyOf(resource))
    await shared.remove(remove)
    await Promise.all(agents.map(({ agent }) => agent.programmer.settled()))
  }

  try {
    await change(lab.resources)
    for (const { name, netns } of lab.nodes) agents.push(await shared.startAgent({ name, netns, dir }))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    lab,
    cluster,
    change,
    async newFlows() {
      await Promise.all(agents.map(({ agent }) => agent.flush()))
      const flows = shared.flows()
      const fresh = flows.slice(told)
      told = flows.length
      return fresh
    },
    stop,
  }
}
