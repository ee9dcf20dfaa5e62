import { join } from 'node:path'
import { linesOf } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { createReporter } from '@margay/kit/reporter'
import { createResourceCache, versionHeader } from '@margay/kit/resources'
import {
  type DnsEvent,
  dns,
  type FlowEvent,
  flow,
  keyOf,
  parseResources,
  type Resource,
  type ResourceKey,
  resourcesTopic,
  topicOf,
} from '@margay/schemas'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'
import { type Agent, type AgentConfig, createAgent } from '../src/agent.ts'
import type { TestNode } from './node.ts'

/** A cluster's resources and event log in memory, and agents that run on a test node against them. */
export interface TestCluster {
  /** Creates or replaces resources, as the API does. */
  apply(yaml: string): Promise<void>
  remove(yaml: string): Promise<void>
  /** Writes resources as they are; a key alone deletes. */
  put(resources: readonly (Resource | { readonly key: ResourceKey })[]): Promise<void>
  /** Starts the agent of a node, which is `node1` unless it has a name; its files go into `dir`. */
  startAgent(
    node: Pick<TestNode, 'netns' | 'dir'> & { readonly name?: string },
    options?: Partial<Pick<AgentConfig, 'uninstall' | 'flowBufferBytes'>>,
  ): Promise<RunningAgent>
  /** Everything logged so far. */
  flows(): FlowEvent[]
  lookups(): DnsEvent[]
}

export interface RunningAgent {
  readonly agent: Agent
  /** Values of a metric, by the value of its only label. */
  metric(name: string): Promise<Record<string, number>>
  stop(): Promise<void>
}

export function createTestCluster(): TestCluster {
  const log = createMemoryLog()
  let version = 0

  async function put(resources: readonly (Resource | { readonly key: ResourceKey })[]): Promise<void> {
    for (const resource of resources) {
      version += 1
      const isGone = !('metadata' in resource)
      await log.append([
        {
          topic: resourcesTopic,
          key: isGone ? (resource.key as ResourceKey) : keyOf(resource),
          value: isGone ? null : Buffer.from(JSON.stringify({ object: resource })),
          headers: { [versionHeader]: String(version) },
        },
      ])
    }
  }

  async function publish(yaml: string, isRemoval: boolean): Promise<void> {
    const { resources, problems } = parseResources(yaml)
    const errors = problems.filter(({ severity }) => severity === 'error')
    if (errors.length > 0) throw new Error(errors.map((e) => `${e.path}: ${e.message}`).join('\n'))
    await put(resources.map(({ resource }) => (isRemoval ? { key: keyOf(resource) } : resource)))
  }

  function events<E>(topic: string): E[] {
    return log.records(topic).flatMap((record) => linesOf(record).map((line) => JSON.parse(line) as E))
  }

  return {
    put,
    apply: (yaml) => publish(yaml, false),
    remove: (yaml) => publish(yaml, true),
    flows: () => events<FlowEvent>(topicOf(flow)),
    lookups: () => events<DnsEvent>(topicOf(dns)),
    async startAgent(node, options) {
      const reporter = createReporter('agent', { level: 'error' })
      const resources = createResourceCache({ log, reporter })
      const failures: Error[] = []
      const agent = createAgent(
        {
          node: node.name ?? 'node1',
          cluster: 'test',
          netns: node.netns,
          dataplane: 'nftables',
          dnsCacheFile: join(node.dir, `dns-cache-${node.name ?? 'node1'}`),
          // Tests flush themselves; a flush of the timer would take records away from under them.
          flowFlushMs: 3_600_000,
          uninstall: options?.uninstall ?? false,
          ...(options?.flowBufferBytes === undefined ? {} : { flowBufferBytes: options.flowBufferBytes }),
        },
        { log, resources, reporter, died: (error) => void failures.push(error) },
      )
      const components: Component[] = [resources, ...agent.components]
      for (const component of components) await component.start?.()
      return {
        agent,
        async metric(name) {
          const { values = [] } = (await reporter.registry.getSingleMetric(`margay_agent_${name}`)?.get()) ?? {}
          return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels)[0] ?? '', value]))
        },
        async stop() {
          for (const component of components.reverse()) await component.stop?.()
          if (failures.length > 0) throw failures[0]
        },
      }
    },
  }
}
