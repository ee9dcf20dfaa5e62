import type { FlowEvent } from '../events/flow.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Identity, PolicyModel } from '../policy/model.ts'
import { formatTrace } from '../policy/trace.ts'
import { protocolName } from '../resources/protocol.ts'
import { count, createFlowGroup, createTally, type FlowGroup, type Tally } from './group.ts'
import { defaultFlowSettings, type FlowSettings } from './settings.ts'
import type { FlowUpdate } from './update.ts'

/**
 * Flow aggregation (spec 4.2.3): updates about single connections become flow events, one for each distinct key of an
 * interval. Every counter of an update lands in exactly one event, so sums over events are sums over connections:
 * a key whose connections were decided by different rules becomes several events that share the statistics out.
 */

/** Holds the connections of an interval and makes flow events of them. */
export interface FlowAggregator {
  /** Settings for updates from now on. */
  set(settings: FlowSettings): void
  add(update: FlowUpdate): void
  /**
   * After policy has changed, works out the pending policies of at most so many connections anew; true when all of them are up to date.
   * What is left then is done by `flush`, in one go.
   */
  reevaluate(limit: number): boolean
  /** The events of the interval that ends at `now` (unix ms); the next interval begins there. */
  flush(now: number): FlowEvent[]
  /** Connections held for the next flush. */
  readonly size: number
  /** Updates since the start that were aggregated more than asked for, because an interval had too many connections. */
  readonly coarse: number
}

/** Whose connections, and how their events are marked. */
export interface FlowAggregatorOptions {
  readonly model: PolicyModel
  readonly cluster: string
  /** Node that reports. */
  readonly host: string
  /** Marks every event as judged by the evaluator instead of a kernel. */
  readonly simulated?: boolean
  readonly settings?: FlowSettings
  /** Start of the first interval, unix ms; now when absent. */
  readonly start?: number
  /**
   * Connections of one interval that are held one by one, each about a kilobyte; 50,000 when absent. Those beyond are added to events
   * without addresses at once (level 2), and when there are as many such events, without destination ports (level 3). Nothing is lost.
   */
  readonly limit?: number
}

/** One connection of the interval: its first update, and what all of them say. */
interface Connection {
  readonly update: FlowUpdate
  readonly level: number
  readonly source: Identity
  readonly destination: Identity
  readonly tally: Tally
  pending: Pending
}

interface Pending {
  readonly revision: number
  readonly trace: readonly string[]
}

const usualLimit = 50_000

/**
 * Makes an aggregator. An event's pending policies are what the model says at the flush, as if the connection started
 * then and staged policies were enforced; they are worked out when a connection is first seen and again only if policy changed since.
 */
export function createFlowAggregator(options: FlowAggregatorOptions): FlowAggregator {
  const { model, cluster, host, limit = usualLimit } = options
  let settings = options.settings ?? defaultFlowSettings
  let start = options.start ?? Date.now()
  let interval = 0
  let coarse = 0
  let connections = new Map<string, Connection>()
  /** What is beyond the limit. */
  let overflow = new Map<string, FlowGroup>()
  /** Where working out pending policies goes on, for which revision. */
  let sweep: { readonly revision: number; readonly left: Iterator<Connection> } | null = null

  function pendingOf(update: FlowUpdate): Pending {
    const { pending } = evaluate(model, update.packet)
    const judgement = update.reporter === 'src' ? pending.egress : pending.ingress
    return { revision: model.revision, trace: (judgement?.trace ?? []).map(formatTrace) }
  }

  function refresh(connection: Connection): boolean {
    if (!settings.reevaluates || connection.pending.revision === model.revision) return false
    connection.pending = pendingOf(connection.update)
    return true
  }

  function open(update: FlowUpdate): Connection {
    const { sourceIp, destinationIp } = update.packet
    return {
      update,
      level: update.action === 'allow' ? settings.levels.allowed : settings.levels.denied,
      source: update.source ?? model.identify(sourceIp, model.endpointByIp(destinationIp)),
      destination:
        update.destination ??
        model.identify(destinationIp, model.endpointByIp(sourceIp), update.packet.domains ?? update.domains),
      tally: createTally(),
      pending: pendingOf(update),
    }
  }

  /** The event of one connection, without counters, labels and what else is put together from several. */
  function eventOf({ update, source, destination, pending }: Connection, level: number): FlowEvent {
    const { packet, service, transit = [] } = update
    return {
      cluster,
      host,
      ...(options.simulated ? { simulated: true } : {}),
      start_time: start,
      end_time: start,
      action: update.action,
      reporter: update.reporter,
      proto: protocolName(packet.protocol),
      source_ip: level < 2 ? packet.sourceIp : null,
      source_port: level < 1 ? packet.sourcePort : null,
      source_name: level < 2 ? nameOf(source) : '-',
      source_name_aggr: source.nameAggr,
      source_namespace: source.namespace,
      source_type: source.type,
      source_labels: [],
      dest_ip: level < 2 ? packet.destinationIp : null,
      dest_port: level < 3 ? packet.destinationPort : null,
      dest_name: level < 2 ? nameOf(destination) : '-',
      dest_name_aggr: destination.nameAggr,
      dest_namespace: destination.namespace,
      dest_type: destination.type,
      dest_labels: [],
      dest_service_namespace: service?.namespace ?? '-',
      dest_service_name: service?.name ?? '-',
      dest_service_port: level < 3 && service?.portName ? service.portName : '-',
      ...(level < 3 && service ? { dest_service_port_num: service.port } : {}),
      dest_domains: [],
      enforced_policies: update.enforced.map(formatTrace),
      pending_policies: [...pending.trace],
      ...(transit.length > 0 ? { transit_policies: transit.map(formatTrace) } : {}),
      bytes_in: 0,
      bytes_out: 0,
      packets_in: 0,
      packets_out: 0,
      num_flows: 0,
      num_flows_started: 0,
      num_flows_completed: 0,
    }
  }

  /** Adds a connection that is too many to what is known of its like. */
  function fold(update: FlowUpdate): void {
    coarse += 1
    const connection = open(update)
    let event = eventOf(connection, Math.max(connection.level, 2))
    if (overflow.size >= limit && !overflow.has(keyOf(event))) event = eventOf(connection, 3)
    const group = groupOf(overflow, event)
    count(connection.tally, update)
    group.merge(connection.tally, isCounted(update) ? 0 : 1, connection.source, connection.destination)
  }

  /** True when an update of the same end was counted in this interval already. */
  function isCounted({ mark, started, completed }: FlowUpdate): boolean {
    // Without a mark only the start tells that it is another one.
    if (mark === undefined) return started === 0 && completed === 0
    if (mark.interval === interval) return true
    mark.interval = interval
    return false
  }

  return {
    set(wanted) {
      settings = wanted
    },
    add(update) {
      const { packet, enforced, transit = [] } = update
      const key = [
        update.reporter,
        update.action,
        packet.sourceIp,
        packet.sourcePort,
        packet.destinationIp,
        packet.destinationPort,
        packet.protocol,
        update.discriminator,
        ...enforced.map(formatTrace),
        ...transit.map(formatTrace),
      ].join(' ')
      let connection = connections.get(key)
      if (connection === undefined) {
        if (connections.size >= limit) return fold(update)
        connection = open(update)
        connections.set(key, connection)
      }
      count(connection.tally, update)
    },
    reevaluate(most) {
      if (sweep?.revision !== model.revision) sweep = { revision: model.revision, left: connections.values() }
      for (let done = 0; done < most; ) {
        const { value, done: isAll } = sweep.left.next()
        if (isAll) return true
        if (refresh(value)) done += 1
      }
      return false
    },
    flush(now) {
      const groups = new Map<string, FlowGroup>()
      for (const connection of connections.values()) {
        refresh(connection)
        const { level, tally, source, destination } = connection
        groupOf(groups, eventOf(connection, level)).merge(tally, 1, source, destination)
      }
      const limits = { domains: settings.domainLimit, natPorts: settings.natPortLimit }
      const events = [...groups.values(), ...overflow.values()].map((group) => group.event(now, limits))
      connections = new Map()
      overflow = new Map()
      sweep = null
      start = now
      interval += 1
      return events
    },
    get size() {
      return connections.size
    },
    get coarse() {
      return coarse
    },
  }
}

/** The group of connections whose events are equal, but for what is put together. */
function groupOf(groups: Map<string, FlowGroup>, event: FlowEvent): FlowGroup {
  const key = keyOf(event)
  let group = groups.get(key)
  if (group === undefined) {
    group = createFlowGroup(event)
    groups.set(key, group)
  }
  return group
}

const keyOf = (event: FlowEvent) => JSON.stringify(event)

/** The name of an endpoint; other identities have an aggregated name only. */
const nameOf = (identity: Identity) => (identity.type === 'wep' || identity.type === 'hep' ? identity.name : '-')
