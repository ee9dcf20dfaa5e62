import type { DnsEvent } from '../events/dns.ts'
import type { Identity, PolicyModel } from '../policy/model.ts'
import type { DnsLookup } from './lookup.ts'

/** Merges the lookups of an interval into DNS events (spec 4.3). */
export interface DnsAggregator {
  add(lookup: DnsLookup, settings: DnsSettings): void
  /** The events of the interval that ends at `now` (unix ms). */
  flush(now: number): DnsEvent[]
}

/** How lookups become rows, as FelixConfiguration says it. */
export interface DnsSettings {
  /** 0: one row for each client; 1: clients with the same name prefix together. */
  readonly dnsAggregation: 0 | 1
  readonly dnsIncludeLabels: boolean
  readonly dnsLatency: boolean
  /** Rows told for one interval; lookups that would need another are only counted. 0: no limit. */
  readonly dnsLimit: number
}

interface Group {
  readonly event: DnsEvent
  labels: readonly string[]
  latencySum: number
  latencyCount: number
  latencyMax: number
}

/** Makes the aggregator of a node; `start` is where its first interval begins, unix ms. */
export function createDnsAggregator(options: {
  readonly model: Pick<PolicyModel, 'identify'>
  readonly cluster: string
  readonly host: string
  /** Marks every event as judged by the evaluator instead of a kernel. */
  readonly simulated?: boolean
  readonly start: number
}): DnsAggregator {
  const { model, cluster, host } = options
  const common = { cluster, host, ...(options.simulated ? { simulated: true } : {}) }
  let start = options.start
  let groups = new Map<string, Group>()
  let unlogged = 0

  function eventOf(lookup: DnsLookup, client: Identity, settings: DnsSettings): DnsEvent {
    const { question, rcode, rrsets } = lookup.message
    const server = model.identify(lookup.server, client.endpoint)
    const isEndpoint = server.type === 'wep' || server.type === 'hep'
    const single = settings.dnsAggregation === 0
    return {
      ...common,
      start_time: start,
      end_time: start,
      type: 'LOG',
      count: 0,
      client_ip: single ? lookup.client : null,
      client_name: single ? client.name : '-',
      client_name_aggr: client.nameAggr,
      client_namespace: client.namespace,
      client_labels: [],
      qname: question.name,
      qtype: question.type,
      qclass: question.class,
      rcode,
      rrsets: rrsets.map((set) => ({ ...set, rdata: [...set.rdata] })),
      servers: [
        {
          ip: lookup.server,
          name: isEndpoint ? server.name : '-',
          name_aggr: server.nameAggr,
          namespace: server.namespace,
          labels: [...server.labels],
        },
      ],
    }
  }

  return {
    add(lookup, settings) {
      const client = model.identify(lookup.client, null)
      const event = eventOf(lookup, client, settings)
      const key = JSON.stringify(event)
      let group = groups.get(key)
      if (group === undefined) {
        if (settings.dnsLimit > 0 && groups.size >= settings.dnsLimit) {
          unlogged += 1
          return
        }
        const labels = settings.dnsIncludeLabels ? client.labels : []
        group = { event, labels, latencySum: 0, latencyCount: 0, latencyMax: 0 }
        groups.set(key, group)
      }
      const members = new Set(client.labels)
      group.labels = group.labels.filter((label) => members.has(label))
      group.event.count += 1
      if (settings.dnsLatency && lookup.latency !== null) {
        group.latencySum += lookup.latency
        group.latencyCount += 1
        group.latencyMax = Math.max(group.latencyMax, lookup.latency)
      }
    },
    flush(now) {
      const events = [...groups.values()].map(
        ({ event, labels, latencySum, latencyCount, latencyMax }): DnsEvent => ({
          ...event,
          end_time: now,
          client_labels: [...labels],
          ...(latencyCount === 0
            ? {}
            : {
                latency_count: latencyCount,
                latency_mean: Math.round(latencySum / latencyCount),
                latency_max: latencyMax,
              }),
        }),
      )
      if (unlogged > 0) events.push({ ...common, ...unloggedEvent(start, now, unlogged) })
      groups = new Map()
      unlogged = 0
      start = now
      return events
    },
  }
}

function unloggedEvent(start: number, now: number, count: number): Omit<DnsEvent, 'cluster' | 'host'> {
  return {
    start_time: start,
    end_time: now,
    type: 'UNLOGGED',
    count,
    client_ip: null,
    client_name: '-',
    client_name_aggr: '-',
    client_namespace: '-',
    client_labels: [],
    qname: '',
    qtype: '',
    qclass: '',
    rcode: '',
    rrsets: [],
    servers: [],
  }
}
