import { setTimeout as sleep } from 'node:timers/promises'
import { encodeBlocks } from '@margay/kit/blocks'
import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { EventLog } from '@margay/kit/event-log'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import {
  createAnsweredNames,
  createCluster,
  createDnsAggregator,
  createFlowAggregator,
  type DnsAggregator,
  dns,
  type FlowAggregator,
  felixSpec,
  flow,
  logSettings,
  type StatusEvent,
  status,
  version,
} from '@margay/schemas'
import { type Zone, zoneOf } from '../dns/zone.ts'
import type { LabPlan } from '../manifests/plan.ts'
import type { LabNetwork } from '../network.ts'
import { simulate, type World } from './connection.ts'

/** The lab without a kernel: a network that is judged, and what stands for the agents of its nodes. */
export interface Simulation {
  readonly network: LabNetwork
  /** Writes flow, DNS and status events, as the agents of the nodes would. Start it after the network, stop it before. */
  readonly agents: Component
  /** Writes what has been seen so far. */
  flush(): Promise<void>
}

interface Node {
  readonly flows: FlowAggregator
  readonly lookups: DnsAggregator
}

/** How the simulation marks and times what it tells. */
export interface SimulationConfig {
  readonly cluster: string
  /** Between flushes unless FelixConfiguration says otherwise, and between status events. */
  readonly flushMs: number
  readonly heartbeatMs: number
}

/** Makes the simulation; policy is what `resources` hold, every record is marked `simulated`. */
export function createSimulation(
  config: SimulationConfig,
  deps: {
    readonly log: EventLog
    readonly resources: ResourceCache
    readonly reporter: Reporter
    readonly now: () => number
  },
): Simulation {
  const { log, resources, reporter, now } = deps
  const { cluster } = config
  const model = createCluster()
  const names = createAnsweredNames({ now })
  const nodes = new Map<string, Node>()
  const started = now()
  const lost = reporter.counter('events_lost_total', 'simulated events that the log did not take')
  const warn = reporter.sampled()
  const end = new AbortController()
  let plan: LabPlan | undefined
  let zone: Zone = { records: new Map(), tcpOnly: new Set() }
  let turns = 0
  let rejected: string | null = null
  const settings = (host: string | null) =>
    logSettings(felixSpec(resources.list('felixconfigurations'), host), { flowFlushMs: config.flushMs })

  resources.onChange(({ key, resource }) => {
    try {
      if (resource === null) model.remove(key)
      else model.apply(resource)
    } catch (error) {
      // The model stays as it was: what is enforced is what was understood last.
      rejected = `${key}: ${messageOf(error)}`
      warn({ key, error: messageOf(error) }, 'a resource was not understood')
    }
  })

  function nodeFor(name: string): Node {
    let node = nodes.get(name)
    if (node === undefined) {
      const options = { model, cluster, host: name, simulated: true, start: now() }
      node = {
        flows: createFlowAggregator({ ...options, settings: settings(name).flows }),
        lookups: createDnsAggregator(options),
      }
      nodes.set(name, node)
    }
    return node
  }

  async function write(host: string, blocks: ReturnType<typeof encodeBlocks>, count: number): Promise<void> {
    try {
      if (blocks.length > 0) await log.append(blocks)
    } catch (error) {
      lost.inc(count)
      warn({ host, error: messageOf(error) }, 'the log does not take simulated events')
    }
  }

  async function flush(): Promise<void> {
    for (const [host, node] of nodes) {
      node.flows.set(settings(host).flows)
      const origin = { cluster, producer: `lab/${host}` }
      const flows = node.flows.flush(now())
      const lookups = node.lookups.flush(now())
      const blocks = [...encodeBlocks(flow, flows, origin), ...encodeBlocks(dns, lookups, origin)]
      await write(host, blocks, flows.length + lookups.length)
    }
  }

  async function beat(): Promise<void> {
    for (const { name } of plan?.nodes ?? []) {
      const local = [...model.endpoints()].filter(({ node }) => node === name)
      const selecting = new Set(
        local.flatMap((endpoint) =>
          (['ingress', 'egress'] as const).flatMap((direction) =>
            model.governing(endpoint, direction).flatMap(({ policies }) => policies.map(({ id }) => id)),
          ),
        ),
      )
      const event: StatusEvent = {
        cluster,
        host: name,
        simulated: true,
        time: now(),
        service: 'agent',
        state: rejected === null ? 'ok' : 'degraded',
        reason: rejected ?? '',
        version,
        started,
        revision: resources.version,
        endpoints: local.length,
        policies: selecting.size,
      }
      await write(name, encodeBlocks(status, [event], { cluster, producer: `lab/${name}` }), 1)
    }
  }

  async function repeat(everyMs: () => number, action: () => Promise<void>): Promise<void> {
    while (!end.signal.aborted) {
      await sleep(everyMs(), undefined, { signal: end.signal }).catch(() => {})
      await action()
    }
  }

  let loops: Promise<unknown> = Promise.resolve()
  const network: LabNetwork = {
    name: 'simulated network',
    mode: 'simulated',
    async update(next) {
      plan = next
      zone = zoneOf(next)
    },
    async connect(caller, target) {
      if (plan === undefined) throw new Error('the simulation has no plan yet')
      const world: World = { plan, zone, model, names: names.names, turn: () => turns++ }
      const { contact, flows, lookups } = simulate(world, caller, target)
      for (const { node, update } of flows) nodeFor(node).flows.add(update)
      for (const { node, lookup } of lookups) {
        nodeFor(node).lookups.add(lookup, settings(node))
        names.add(lookup)
      }
      return contact
    },
  }
  return {
    network,
    flush,
    agents: {
      name: 'simulated agents',
      async start() {
        loops = Promise.all([repeat(() => settings(null).flowFlushMs, flush), repeat(() => config.heartbeatMs, beat)])
        await beat()
      },
      async stop() {
        end.abort()
        await loops
      },
      health: () => (rejected === null ? { state: 'ok' } : { state: 'degraded', reason: rejected }),
    },
  }
}
