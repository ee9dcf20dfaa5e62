import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Component } from '@margay/kit/component'
import { MargayError } from '@margay/kit/errors'
import { createOperationsServer } from '@margay/kit/http'
import { createEventLog } from '@margay/kit/log'
import { createResourceCache } from '@margay/kit/resources'
import type { ServiceContext } from '@margay/kit/service'
import { createHeartbeat } from '@margay/kit/status'
import { milliseconds } from '@margay/schemas'
import { readBundle } from './bundle.ts'
import { createCallers } from './callers.ts'
import { controlRoutes } from './control.ts'
import { createKernelNetwork } from './kernel/kernel-network.ts'
import { createLab } from './lab.ts'
import { publishedResources } from './manifests/published.ts'
import { hasIpv6, kernelObstacle, type Machine } from './prerequisites.ts'
import { createAgentFlush } from './probe.ts'
import { createPublisher } from './publisher.ts'
import { createSimulation } from './simulated/simulation.ts'
import { createApiSink } from './sink.ts'

/** How long the start waits for the API to take the resources; it goes on trying after that. */
const publishPatienceMs = 20_000

/** Every part of the lab service, in the order of their start. Throws LAB_MANIFEST_INVALID, LAB_IMPOSSIBLE. */
export function labComponents(
  { config, reporter, runDir }: ServiceContext,
  outer: Machine & { readonly tell: (message: unknown) => void },
): Component[] {
  const { id, nodes, mode, manifests } = config.lab
  const reason = mode === 'simulated' ? 'lab.mode asks for it' : (kernelObstacle(outer) ?? undefined)
  if (reason !== undefined && mode === 'kernel')
    throw new MargayError('LAB_IMPOSSIBLE', `no lab in the kernel: ${reason}`)
  if (reason !== undefined) reporter.log.info({ reason }, 'the lab is simulated')

  const ipv6 = reason === undefined && hasIpv6(outer)
  const bundle = readBundle(manifests)
  const log = createEventLog(config, { reporter })
  const resources = createResourceCache({ log, reporter })
  const simulation =
    reason === undefined
      ? null
      : createSimulation(
          {
            cluster: config.cluster,
            flushMs: milliseconds(config.agent.flowFlushInterval),
            heartbeatMs: milliseconds(config.agent.heartbeatInterval),
          },
          { log, resources, reporter, now: Date.now },
        )
  const network = simulation?.network ?? createKernelNetwork({ id, runDir }, { reporter })
  const sink = createApiSink(config.api)
  const publisher = createPublisher({ id, firstOnly: bundle.policies, retryMs: 500 }, { sink, reporter })
  const callers = createCallers({ network, reporter, random: Math.random })
  const lab = createLab({ id, nodes, ipv6, documents: bundle.documents }, { network, callers, publisher })
  const names = () => lab.plan.nodes.map(({ name }) => name)
  const flush = simulation?.flush ?? createAgentFlush(runDir, names)

  const announcement: Component = {
    name: 'announcement',
    async start() {
      for (const note of bundle.notes) reporter.log.warn({ note }, 'a manifest could not be used')
      for (const note of lab.plan.notes) reporter.log.info({ note }, 'in the manifests')
      const told = lab.plan.nodes.map(({ name, netns, ip }) => ({ name, netns, ip }))
      outer.tell({ lab: { mode: network.mode, ...(reason === undefined ? {} : { reason }), nodes: told } })
    },
  }
  const publishing: Component = {
    ...publisher,
    name: 'publishing',
    health: () => publisher.health?.() ?? { state: 'ok' },
    async start() {
      const patience = new AbortController()
      const limit = sleep(publishPatienceMs, undefined, { signal: patience.signal }).catch(() => {})
      await Promise.race([publisher.publish(publishedResources(lab.plan)), limit])
      patience.abort()
    },
  }
  const control = createOperationsServer(join(runDir, 'lab.sock'), {
    reporter,
    routes: controlRoutes({ lab, log, flush, now: Date.now, reason, notes: bundle.notes }),
  })
  const heartbeat = createHeartbeat(
    { intervalMs: milliseconds(config.report.statusInterval), cluster: config.cluster },
    { reporter, log, facts: () => (network.mode === 'simulated' ? { simulated: true } : {}) },
  )
  return [
    log,
    ...(simulation === null ? [] : [resources]),
    network,
    lab,
    announcement,
    control,
    publishing,
    ...(simulation === null ? [] : [simulation.agents]),
    callers,
    heartbeat,
  ]
}
