import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import {
  createDnsAggregator,
  createFlowAggregator,
  dns,
  type Endpoint,
  type FlowUpdate,
  flow,
  type PolicyModel,
} from '@margay/schemas'
import type { Capability } from '../dataplane/dataplane.ts'
import type { DnsPolicy } from '../dns/dns-policy.ts'
import { createKernelThread } from '../netlink/kernel-thread.ts'
import type { WorkerReport } from '../netlink/worker-protocol.ts'
import type { RuleHit } from '../nftables/names.ts'
import { runIn } from '../node/command.ts'
import type { NodeSettings } from '../node/felix.ts'
import type { HostPlacement } from '../node/host-endpoints.ts'
import { createNodeModel } from '../node/node-model.ts'
import type { Noted } from './assembly.ts'
import { createConnections } from './connections.ts'
import { createLosses } from './losses.ts'
import type { Outbox } from './outbox.ts'
import { createSockets } from './sockets.ts'
import { transitTrace } from './trace.ts'

/** Turns what the kernel tells about packets into flow and DNS events. */
export interface Collector extends Component {
  /** Fetches what the kernel holds and writes flow and DNS events now. Gives the number of each. */
  flush(): Promise<{ flows: number; dns: number }>
  /** Takes over changed settings and interfaces. */
  changed(): void
  /** What it can tell beyond connections and verdicts. */
  readonly capabilities: { readonly tcpStatistics: Capability }
}

/** What the collector reads from and writes to. */
export interface CollectorDeps {
  readonly model: PolicyModel
  readonly settings: () => NodeSettings
  readonly hit: (prefix: string) => RuleHit | null
  readonly isHost: (ip: string) => boolean
  /** Where the host endpoints of the node stand now. */
  readonly hosts: () => HostPlacement
  readonly outbox: Outbox
  readonly dns: Pick<DnsPolicy, 'names' | 'onLookup'>
  readonly reporter: Reporter
  /** Called when a thread that reads kernel events dies. */
  readonly died: (error: Error) => void
}

/** Time between two readings of the kernel's table of connections. */
const dumpMs = 5000
const tcpOff: Capability = { on: false, reason: 'flowLogsCollectTcpStats is not set' }
/** About ten milliseconds of work. */
const evaluationsAtOnce = 1000
/** Receive buffer of a kernel socket: about half a second of a million small packets a second. */
const usualBufferBytes = 16 * 1024 * 1024
/** Counters, time stamps and end events of connections are off unless asked for. */
const sysctls = ['nf_conntrack_acct=1', 'nf_conntrack_timestamp=1', 'nf_conntrack_events=1'].map(
  (s) => `net.netfilter.${s}`,
)

/** Makes the collector of a node. */
export function createCollector(
  config: {
    readonly node: string
    readonly cluster: string
    readonly netns: string | null
    /** Receive buffer of each kernel socket; 16 MiB when absent. */
    readonly bufferBytes?: number
  },
  deps: CollectorDeps,
): Collector {
  const { settings, outbox, reporter, hosts, isHost } = deps
  const model = createNodeModel(config.node, { model: deps.model, hosts, isHost })
  const identity = { model, cluster: config.cluster, host: config.node }
  const flows = createFlowAggregator({ ...identity, settings: settings().flows })
  const lookups = createDnsAggregator({ ...identity, start: Date.now() })

  const packets = reporter.counter('logged_packets_total', 'packets that the kernel logged', ['result'])
  const losses = createLosses({ reporter, now: Date.now })
  const updates = reporter.counter('flow_updates_total', 'updates about connections', ['reporter', 'action'])
  const entries = reporter.gauge('connections', 'connections followed')
  const coarse = reporter.counter(
    'flow_updates_coarse_total',
    'updates that were aggregated more than asked for, because an interval had too many connections',
  )
  let knownCoarse = 0
  const dumpSeconds = reporter.histogram(
    'dump_seconds',
    'time to read the table of connections',
    [0.01, 0.05, 0.1, 0.5, 1, 5],
  )
  const noteLogged = reporter.sampled()

  const sockets = createSockets()
  let tcp: Capability = tcpOff

  const connections = createConnections({
    model,
    names: deps.dns.names,
    hit: deps.hit,
    local: localEndpoint,
    isHost,
    extent: () => hosts().extent,
    socketOf: sockets.at,
    emit(update) {
      updates.inc({ reporter: update.reporter, action: update.action })
      flows.add(withTransit(update))
    },
  })

  /** Adds what host endpoints on the way have to say, where that is asked for; what they denied is known already. */
  function withTransit({ transit, ...update }: FlowUpdate): FlowUpdate {
    if (!settings().flowTransit) return update
    const direction = update.reporter === 'src' ? 'egress' : 'ingress'
    return { ...update, transit: transit ?? transitTrace(model, update.packet, direction) }
  }

  function localEndpoint(ip: string): Endpoint | null {
    const endpoint = model.endpointByIp(ip)
    if (endpoint === null || endpoint.node !== config.node) return null
    return endpoint.kind === 'wep' || hosts().owners.get(ip) === endpoint ? endpoint : null
  }

  function take(report: WorkerReport): void {
    if (report.type === 'logged') {
      packets.inc({ result: 'read' }, report.packets - report.malformed)
      packets.inc({ result: 'malformed' }, report.malformed)
      packets.inc({ result: 'lost' }, report.lost)
      losses.log(report.lost, report.overruns)
      for (const judged of report.judged) connections.judged(judged)
      for (const noted of report.noted) tellNoted(noted)
    } else if (report.type === 'ended') {
      losses.connections(report.overruns)
      connections.ended(report.entries)
    } else if (report.type === 'tcp') tell(report.reason)
  }

  /** Says once why there are no statistics of TCP. */
  function tell(reason: string | null): void {
    if (!settings().flowTcp) tcp = tcpOff
    else {
      if (reason !== null && reason !== tcp.reason) reporter.log.warn({ reason }, 'no statistics of tcp')
      tcp = reason === null ? { on: true } : { on: false, reason }
    }
  }

  /** A rule with action Log writes a line of the agent's log. */
  function tellNoted({ tuple, prefix }: Noted): void {
    const hit = deps.hit(prefix)
    if (hit !== null)
      noteLogged({ ...tuple, policy: hit.ref, rule: hit.ruleIndex, direction: hit.direction }, 'packet met a log rule')
  }

  deps.dns.onLookup((lookup) => {
    if (localEndpoint(lookup.client)?.kind === 'wep') lookups.add(lookup, settings())
  })

  const options = { netns: config.netns, bufferBytes: config.bufferBytes ?? usualBufferBytes }
  const log = createKernelThread('nflog', options, { report: take, died: deps.died })
  const table = createKernelThread('conntrack', options, { report: take, died: deps.died })

  /** Reads verdicts first, so that every connection of the dump finds the rules that judged it. */
  async function dump(): Promise<void> {
    await log.ask<'synced'>('sync')
    const end = dumpSeconds.startTimer()
    const dumped = await table.ask<'dumped'>('dump')
    end()
    sockets.take(dumped.sockets)
    connections.dumped(dumped.entries, dumped.complete)
    entries.set(connections.size.connections)
    reevaluate()
  }

  /** Works out pending policies after a change of policy, a part in each turn of the event loop. */
  function reevaluate(): void {
    clearImmediate(evaluating)
    if (!flows.reevaluate(evaluationsAtOnce)) evaluating = setImmediate(reevaluate)
  }

  let evaluating: NodeJS.Immediate | undefined
  let dumping: Promise<void> | null = null
  function dumpOnce(): Promise<void> {
    dumping ??= dump().finally(() => {
      dumping = null
    })
    return dumping
  }

  function flushFlows(): number {
    const events = flows.flush(Date.now())
    coarse.inc(flows.coarse - knownCoarse)
    knownCoarse = flows.coarse
    outbox.add(flow, events)
    return events.length
  }

  function flushDns(): number {
    const events = lookups.flush(Date.now())
    outbox.add(dns, events)
    return events.length
  }

  let dumpTimer: NodeJS.Timeout | undefined
  let flowTimer: NodeJS.Timeout | undefined
  let dnsTimer: NodeJS.Timeout | undefined
  let intervals = ''

  function schedule(): void {
    const { flowFlushMs, dnsFlushMs } = settings()
    flows.set(settings().flows)
    if (settings().flowTcp || tcp !== tcpOff) table.tell({ type: 'tcp', on: settings().flowTcp })
    const wanted = `${flowFlushMs} ${dnsFlushMs}`
    if (wanted === intervals) return
    intervals = wanted
    clearInterval(flowTimer)
    clearInterval(dnsTimer)
    flowTimer = setInterval(flushFlows, flowFlushMs)
    dnsTimer = setInterval(flushDns, dnsFlushMs)
  }

  return {
    name: 'collector',
    changed: schedule,
    get capabilities() {
      return { tcpStatistics: tcp }
    },
    health() {
      const health = losses.health()
      // What was asked for and is not to be had is worth knowing, though nothing is broken.
      if (health.state !== 'ok' || tcp.on || tcp === tcpOff) return health
      return { state: 'ok', reason: `no statistics of TCP: ${tcp.reason}` }
    },
    async flush() {
      if (dumping !== null) await dumping
      await dumpOnce()
      return { flows: flushFlows(), dns: flushDns() }
    },
    async start() {
      await runIn(config.netns, ['sysctl', '-qw', ...sysctls])
      await Promise.all([log.start(), table.start()])
      await dumpOnce()
      dumpTimer = setInterval(() => {
        dumpOnce().catch((error) => reporter.log.warn({ error: messageOf(error) }, 'connections not read'))
      }, dumpMs)
      schedule()
    },
    async stop() {
      for (const timer of [dumpTimer, flowTimer, dnsTimer]) clearInterval(timer)
      clearImmediate(evaluating)
      try {
        await dumpOnce()
      } catch {
        // A thread that has died cannot be asked; what was read before is still told.
      }
      flushFlows()
      flushDns()
      await Promise.all([log.stop(), table.stop()])
    },
  }
}
