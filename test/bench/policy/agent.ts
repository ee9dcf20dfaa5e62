import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Component } from '@margay/kit/component'
import { createReporter } from '@margay/kit/reporter'
import { createResourceCache, versionHeader } from '@margay/kit/resources'
import { keyOf, type Resource, resourcesTopic } from '@margay/schemas'
import { type Agent, createAgent } from '../../../services/agent/src/agent.ts'
import { createMemoryLog } from '../../harness/memory-log.ts'
import { measuredNode } from './shape.ts'

/** An agent in this process, with a log in memory: everything real but the log's disk. */
export interface BenchAgent {
  readonly agent: Agent
  /** Writes resources to the log, as the API does; a null deletes. */
  put(resources: Iterable<Resource | { readonly key: string }>): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** Makes an agent for a network namespace; it takes its rules away when it stops. */
export function createBenchAgent(netns: string, nft: 'auto' | 'command' = 'auto'): BenchAgent {
  const log = createMemoryLog()
  const reporter = createReporter('agent', { level: 'error' })
  const resources = createResourceCache({ log, reporter })
  const agent = createAgent(
    {
      node: measuredNode,
      cluster: 'bench',
      netns,
      dataplane: 'nftables',
      flowFlushMs: 10_000,
      uninstall: true,
      nft,
      dnsCacheFile: join(tmpdir(), `margay-bench-${process.pid}`, netns),
    },
    {
      log,
      resources,
      reporter,
      died(error) {
        throw error
      },
    },
  )
  const components: Component[] = [resources, ...agent.components]
  let version = 0
  return {
    agent,
    async put(given) {
      const records = []
      for (const one of given) {
        version += 1
        const isGone = !('metadata' in one)
        records.push({
          topic: resourcesTopic,
          key: isGone ? (one.key as string) : keyOf(one),
          value: isGone ? null : Buffer.from(JSON.stringify({ object: one })),
          headers: { [versionHeader]: String(version) },
        })
      }
      await log.append(records)
    },
    async start() {
      for (const component of components) await component.start?.()
    },
    async stop() {
      for (const component of components.reverse()) await component.stop?.()
    },
  }
}
