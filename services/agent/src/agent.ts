import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { EventLog } from '@margay/kit/event-log'
import type { createOperationsServer } from '@margay/kit/http'
import type { Reporter } from '@margay/kit/reporter'
import type { ResourceCache } from '@margay/kit/resources'
import type { StatusFacts } from '@margay/kit/status'
import { createCluster, keyOf, type Resource, type ResourceKey, type ServiceSpec } from '@margay/schemas'
import type { Capabilities, Capability } from './dataplane/dataplane.ts'
import { createMemoryDataplane } from './dataplane/memory.ts'
import { createDnsPolicy } from './dns/dns-policy.ts'
import { type Collector, createCollector } from './flows/collector.ts'
import { createDeniedNow } from './flows/denied-now.ts'
import { createOutbox } from './flows/outbox.ts'
import { createNftablesDataplane } from './nftables/dataplane.ts'
import { tableName } from './nftables/ruleset.ts'
import { createTableWriter, type WriterMode } from './nftables/wire/table-writer.ts'
import { createConnectionCutter } from './node/connection-cutter.ts'
import { accelerated, createDenyAccelerator } from './node/deny-accelerator.ts'
import { nodeSettings } from './node/felix.ts'
import { createHostPlacements } from './node/host-endpoints.ts'
import { createInterfaces } from './node/interfaces.ts'
import { createNodeModel } from './node/node-model.ts'
import { createProgrammer, type Programmer } from './node/programmer.ts'

/** Which node, and how it is reached. */
export interface AgentConfig {
  readonly node: string
  readonly cluster: string
  /** Network namespace of the node; null: the process's own. */
  readonly netns: string | null
  readonly dataplane: 'nftables' | 'memory'
  /** How nftables is written; `auto` when absent. */
  readonly nft?: WriterMode
  readonly flowFlushMs: number
  /** Where the node remembers what it learned from DNS, unless FelixConfiguration names another file. */
  readonly dnsCacheFile: string
  /** Receive buffer of the sockets that tell of flows, for tests; 16 MiB when absent. */
  readonly flowBufferBytes?: number
  /** Connections that policy denies from now on are cut; otherwise they go on, and are counted. */
  readonly cutDenied?: boolean
  /** Takes all policy out of the kernel at the end; otherwise it stays in force while no agent runs. */
  readonly uninstall: boolean
}

/** The parts of an agent, and what its socket offers. */
export interface Agent {
  /** In the order in which they start. */
  readonly components: readonly Component[]
  readonly programmer: Programmer
  /** Writes flow and DNS events now; `durable` is false when the event log has not taken them in time. */
  flush(): Promise<{ flows: number; dns: number; durable: boolean }>
  /** What the heartbeat tells. */
  facts(): StatusFacts
  /** What the node can do, and why not the rest. */
  capabilities(): Capabilities & { readonly earlyDrop: Capability } & Partial<Collector['capabilities']>
  /** Routes of the operations server. */
  routes: NonNullable<Parameters<typeof createOperationsServer>[1]['routes']>
}

/** Cluster addresses of services; headless ones have none. */
function serviceIps(services: readonly Resource[]): Set<string> {
  const ips = services.flatMap(({ spec }) => {
    const { clusterIP, clusterIPs } = (spec ?? {}) as ServiceSpec
    return clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP])
  })
  return new Set(ips.filter((ip) => ip !== '' && ip !== 'None'))
}

const noXdp = { native: false, generic: false } as const
/** Events kept in memory while the log does not answer. */
const outboxBytes = 64 * 1024 * 1024
/** Longest wait of a flush request for the event log. */
const flushPatienceMs = 5000

/** The agent of one node: policy from the resources into the kernel, flows and DNS lookups from the kernel into the log. */
export function createAgent(
  config: AgentConfig,
  deps: {
    readonly log: EventLog
    readonly resources: ResourceCache
    readonly reporter: Reporter
    readonly died: (error: Error) => void
  },
): Agent {
  const { log, resources, reporter } = deps
  const { node, cluster, netns } = config
  const model = createCluster()
  const readSettings = () =>
    nodeSettings(resources.list('felixconfigurations'), node, { flowFlushMs: config.flowFlushMs })
  let settings = readSettings()
  let clusterIps: ReadonlySet<string> = new Set()
  const interfaces = createInterfaces(netns, { reporter })
  const hosts = createHostPlacements(node, { model, addresses: interfaces.addresses })
  const services = () => ({ services: resources.list('services'), endpointSlices: resources.list('endpointslices') })
  const dnsPolicy = createDnsPolicy(
    { netns, cacheFile: config.dnsCacheFile, uninstall: config.uninstall },
    { settings: () => settings.dnsPolicy, services, reporter, died: deps.died, now: Date.now },
  )
  const dataplane = config.dataplane === 'memory' ? createMemoryDataplane(model) : nftables()

  function nftables() {
    const writer = createTableWriter(
      { netns, table: tableName, mode: config.nft ?? 'auto' },
      { warn: (fields, message) => reporter.log.warn(fields, message) },
    )
    const generation = () => dnsPolicy.foreign(writer.generation)
    return createNftablesDataplane({ model, writer, generation, domains: dnsPolicy, now: Date.now })
  }

  const cutter = createConnectionCutter(
    { netns, cuts: config.cutDenied ?? false },
    {
      isDenied: createDeniedNow(node, {
        model: createNodeModel(node, { model, hosts, isHost: interfaces.isHost }),
        names: dnsPolicy.names,
      }),
      reporter,
    },
  )
  const accelerator = createDenyAccelerator({ node, netns }, { model, reporter })
  const programmer = createProgrammer(node, {
    model,
    version: () => resources.version,
    dataplane: accelerated(dataplane, accelerator, () => (dataplane.capabilities.enforces.on ? settings.xdp : noXdp)),
    interfaceOf: interfaces.interfaceOf,
    hosts,
    options: () => ({ ...settings.render, serviceIps: clusterIps }),
    connections: cutter,
    reporter,
  })
  const outbox = createOutbox(
    { limitBytes: outboxBytes, origin: { cluster, producer: `agent/${node}` } },
    { log, reporter },
  )
  const collector = dataplane.capabilities.enforces.on
    ? createCollector(
        {
          node,
          cluster,
          netns,
          ...(config.flowBufferBytes === undefined ? {} : { bufferBytes: config.flowBufferBytes }),
        },
        {
          model,
          settings: () => settings,
          hit: dataplane.hit,
          isHost: interfaces.isHost,
          hosts,
          outbox,
          dns: dnsPolicy,
          reporter,
          died: deps.died,
        },
      )
    : null

  let forget: (() => void) | undefined
  /** Resources that cannot be compiled, with the reason; what they said before stays in force. */
  const refused = new Map<string, string>()
  const applied = reporter.counter('resources_total', 'resources taken into the model', ['result'])

  function apply(key: ResourceKey, resource: Resource | null): void {
    try {
      if (resource === null) model.remove(key)
      else model.apply(resource)
      refused.delete(key)
      applied.inc({ result: 'taken' })
    } catch (error) {
      refused.set(key, messageOf(error))
      applied.inc({ result: 'refused' })
      reporter.log.error({ key, error: messageOf(error) }, 'resource refused')
    }
  }

  const follower: Component = {
    name: 'cluster model',
    async start() {
      // The cache was read before: what it holds now comes first, changes after it.
      for (const resource of resources.list()) apply(keyOf(resource), resource)
      forget = resources.onChange(({ key, resource }) => {
        apply(key, resource)
        if (key.startsWith('felixconfigurations.')) {
          settings = readSettings()
          collector?.changed()
        }
        if (key.startsWith('services.')) clusterIps = serviceIps(resources.list('services'))
        if (/^(felixconfigurations|services|endpointslices)\./.test(key)) dnsPolicy.changed()
        programmer.changed()
      })
      settings = readSettings()
      clusterIps = serviceIps(resources.list('services'))
    },
    async stop() {
      forget?.()
    },
    health() {
      const [first] = refused
      if (first === undefined) return { state: 'ok' }
      return { state: 'degraded', reason: `${refused.size} resources cannot be enforced; ${first[0]}: ${first[1]}` }
    },
  }
  const uninstall: Component = {
    name: 'data plane',
    async stop() {
      if (config.uninstall) await dataplane.remove()
      dataplane.close()
    },
  }
  interfaces.onChange(() => {
    programmer.changed()
    collector?.changed()
  })

  async function flush(): Promise<{ flows: number; dns: number; durable: boolean }> {
    const told = (await collector?.flush()) ?? { flows: 0, dns: 0 }
    return { ...told, durable: await outbox.drained(flushPatienceMs) }
  }

  const capabilities = () => ({
    ...dataplane.capabilities,
    earlyDrop: accelerator.capability,
    ...collector?.capabilities,
  })

  return {
    flush,
    capabilities,
    components: [
      follower,
      outbox,
      interfaces,
      uninstall,
      accelerator,
      ...(collector === null ? [] : [dnsPolicy, collector, cutter]),
      programmer,
    ],
    programmer,
    facts: () => ({
      revision: programmer.revision,
      endpoints: programmer.endpoints,
      policies: programmer.policies,
    }),
    routes(server) {
      server.post('/flush', flush)
      server.get('/dns', dnsPolicy.look)
      server.get('/capabilities', capabilities)
      server.post('/settle', async () => {
        await programmer.settled()
        return { revision: programmer.revision }
      })
    },
  }
}
