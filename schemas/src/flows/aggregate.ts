import type { FlowEvent } from '../events/flow.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Identity, Packet, PolicyModel, ServicePort, TraceEntry, Verdict } from '../policy/model.ts'
import { formatTrace } from '../policy/trace.ts'
import { protocolName } from '../resources/protocol.ts'

/**
 * Flow aggregation (spec 4.2.3): updates about single connections become flow events, one for each distinct key of an
 * interval. Every counter of an update lands in exactly one event, so sums over events are sums over connections:
 * a key whose connections were decided by different rules becomes several events that share the statistics out.
 */

/** What happened to one connection, as seen by the end that reports it, since the update before. */
export interface FlowUpdate {
  readonly reporter: 'src' | 'dst'
  readonly action: Verdict
  /** The connection after DNAT; ports are null where the protocol has none. */
  readonly packet: Packet
  /** Rules that decided this direction when the connection started. */
  readonly enforced: readonly TraceEntry[]
  /** Rules of host endpoints that acted on the way, where they are to be told. */
  readonly transit?: readonly TraceEntry[]
  /** Service addressed before DNAT. */
  readonly service: ServicePort | null
  /** Tells connections of one 5-tuple apart where ports do not (ICMP echo id); part of what `num_flows` counts. */
  readonly discriminator?: number
  /** Names of both ends when they were taken at the start of the connection; looked up now when absent. */
  readonly source?: Identity
  readonly destination?: Identity
  /** Names whose DNS answers held the destination; the first ones go first when there are too many. */
  readonly domains?: readonly string[]
  /** Counters relative to the reporting end. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
  readonly packetsOut: number
  /** Connections that started and ended with this update. */
  readonly started: number
  readonly completed: number
}

/** Aggregation levels: 0 none, 1 source port, 2 pod prefix, 3 destination port too. */
export interface FlowLevels {
  readonly allowed: 0 | 1 | 2
  readonly denied: 0 | 1 | 2 | 3
}

/** Levels in force unless FelixConfiguration says otherwise (spec 4.8). */
export const defaultFlowLevels: FlowLevels = { allowed: 2, denied: 1 }

/** Names kept in `dest_domains` of one event. */
const domainLimit = 5

/** Holds the connections of an interval and makes flow events of them. */
export interface FlowAggregator {
  /** Levels for updates from now on. */
  setLevels(levels: FlowLevels): void
  add(update: FlowUpdate): void
  /** The events of the interval that ends at `now` (unix ms); the next interval begins there. */
  flush(now: number): FlowEvent[]
  /** Connections held for the next flush. */
  readonly size: number
}

/** Whose connections, and how their events are marked. */
export interface FlowAggregatorOptions {
  readonly model: PolicyModel
  readonly cluster: string
  /** Node that reports. */
  readonly host: string
  /** Marks every event as judged by the evaluator instead of a kernel. */
  readonly simulated?: boolean
  readonly levels?: FlowLevels
  /** Start of the first interval, unix ms; now when absent. */
  readonly start?: number
}

/** One connection of the interval: its first update, with the counters of all of them added up. */
interface Connection {
  readonly update: FlowUpdate
  readonly level: number
  readonly source: Identity
  readonly destination: Identity
  readonly totals: Totals
  readonly domains: Set<string>
  pending: { readonly revision: number; readonly trace: readonly string[] }
}

type Totals = Pick<
  FlowEvent,
  'bytes_in' | 'bytes_out' | 'packets_in' | 'packets_out' | 'num_flows_started' | 'num_flows_completed'
>

/**
 * Makes an aggregator. An event's pending policies are what the model says at the flush, as if the connection started
 * then and staged policies were enforced; they are worked out when a connection is first seen and again only if policy changed since.
 */
export function createFlowAggregator(options: FlowAggregatorOptions): FlowAggregator {
  const { model, cluster, host } = options
  let levels = options.levels ?? defaultFlowLevels
  let start = options.start ?? Date.now()
  let connections = new Map<string, Connection>()

  function pendingOf(update: FlowUpdate): Connection['pending'] {
    const { pending } = evaluate(model, update.packet)
    const judgement = update.reporter === 'src' ? pending.egress : pending.ingress
    return { revision: model.revision, trace: (judgement?.trace ?? []).map(formatTrace) }
  }

  function open(update: FlowUpdate): Connection {
    const { sourceIp, destinationIp } = update.packet
    return {
      update,
      level: update.action === 'allow' ? levels.allowed : levels.denied,
      source: update.source ?? model.identify(sourceIp, model.endpointByIp(destinationIp)),
      destination: update.destination ?? model.identify(destinationIp, model.endpointByIp(sourceIp)),
      totals: {
        bytes_in: 0,
        bytes_out: 0,
        packets_in: 0,
        packets_out: 0,
        num_flows_started: 0,
        num_flows_completed: 0,
      },
      domains: new Set(),
      pending: pendingOf(update),
    }
  }

  /** The event of one connection; connections with equal events but for counters, labels and domains are merged. */
  function eventOf({ update, level, source, destination, pending }: Connection, now: number): FlowEvent {
    const { packet, service, transit = [] } = update
    return {
      cluster,
      host,
      ...(options.simulated ? { simulated: true } : {}),
      start_time: start,
      end_time: now,
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

  return {
    setLevels(wanted) {
      levels = wanted
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
        connection = open(update)
        connections.set(key, connection)
      }
      const { totals, domains } = connection
      totals.bytes_in += update.bytesIn
      totals.bytes_out += update.bytesOut
      totals.packets_in += update.packetsIn
      totals.packets_out += update.packetsOut
      totals.num_flows_started += update.started
      totals.num_flows_completed += update.completed
      for (const domain of update.domains ?? []) domains.add(domain)
    },
    flush(now) {
      const groups = new Map<string, { event: FlowEvent; domains: Set<string> }>()
      for (const connection of connections.values()) {
        if (connection.pending.revision !== model.revision) connection.pending = pendingOf(connection.update)
        const event = eventOf(connection, now)
        const key = JSON.stringify(event)
        const group = groups.get(key)
        if (group === undefined) {
          event.source_labels = [...connection.source.labels]
          event.dest_labels = [...connection.destination.labels]
          groups.set(key, { event, domains: new Set(connection.domains) })
          merge(event, connection.totals)
          continue
        }
        group.event.source_labels = intersection(group.event.source_labels, connection.source.labels)
        group.event.dest_labels = intersection(group.event.dest_labels, connection.destination.labels)
        for (const domain of connection.domains) group.domains.add(domain)
        merge(group.event, connection.totals)
      }
      connections = new Map()
      start = now
      return [...groups.values()].map(({ event, domains }) => {
        event.dest_domains = [...domains].slice(0, domainLimit).sort()
        return event
      })
    },
    get size() {
      return connections.size
    },
  }
}

function merge(event: FlowEvent, totals: Totals): void {
  event.num_flows += 1
  event.bytes_in += totals.bytes_in
  event.bytes_out += totals.bytes_out
  event.packets_in += totals.packets_in
  event.packets_out += totals.packets_out
  event.num_flows_started += totals.num_flows_started
  event.num_flows_completed += totals.num_flows_completed
}

/** The name of an endpoint; other identities have an aggregated name only. */
const nameOf = (identity: Identity) => (identity.type === 'wep' || identity.type === 'hep' ? identity.name : '-')

function intersection(left: string[], right: readonly string[]): string[] {
  const members = new Set(right)
  return left.every((label) => members.has(label)) ? left : left.filter((label) => members.has(label))
}
