import { responseCodes } from '../dns/response-codes.ts'
import {
  choice,
  counter,
  type EventOf,
  ip,
  keyword,
  keywords,
  nested,
  nullableIp,
  optional,
  text,
  time,
  word,
} from './column.ts'
import { common, defineEvent } from './event.ts'

const types = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT', 'CAA', 'SVCB', 'HTTPS', 'ANY']
const classes = ['IN', 'CS', 'CH', 'HS', 'ANY']
/** Lookups of one name by one client, or by several with a common prefix, during one flush interval (spec 4.3). */
export const dns = defineEvent({
  kind: 'dns',
  version: 1,
  table: 'dns',
  dataSet: 'dns',
  timeColumn: 'end_time',
  retentionDays: 8,
  orderBy: [
    'cluster',
    'toStartOfFiveMinutes(end_time)',
    'client_namespace',
    'client_name_aggr',
    'qname',
    'rcode',
    'end_time',
  ],
  doc: 'DNS lookups of workloads, with the answers of the trusted servers',
  columns: {
    ...common,
    start_time: time('start of the interval'),
    end_time: time('end of the interval'),
    type: choice(['LOG', 'UNLOGGED'], 'LOG, or UNLOGGED: only the count of lookups above the limit of the node'),
    count: counter('lookups merged into the row'),
    client_ip: nullableIp('address of the client; null when aggregated', { index: 'bloom_filter(0.01)' }),
    client_name: keyword('name of the client; - when aggregated'),
    client_name_aggr: keyword('prefix*, or the name of a client without one'),
    client_namespace: keyword('namespace of the client'),
    client_labels: keywords('labels (key=value) common to all aggregated clients', {
      aliases: ['client_labels.labels'],
    }),
    qname: text('name looked up', { index: 'bloom_filter(0.01)' }),
    qtype: word(types, 'type asked for: A, AAAA, ... or its number'),
    qclass: word(classes, 'class asked for: IN, ... or its number'),
    rcode: word(responseCodes, 'response code: NoError, NXDomain, ... or its number'),
    rrsets: nested(
      {
        name: text('owner of the records'),
        type: word(types, 'type of the records', { aliases: ['rtype'] }),
        class: word(classes, 'class of the records'),
        rdata: keywords('data of each record: addresses, targets, text'),
      },
      'sets of records in the answer',
    ),
    servers: nested(
      {
        ip: ip('address of the server'),
        name: keyword('name of the server; - when not an endpoint'),
        name_aggr: keyword('prefix*, name, pub or pvt'),
        namespace: keyword('namespace of the server; - if none'),
        labels: keywords('labels (key=value) of the server'),
      },
      'servers that answered',
    ),
    latency_count: optional(counter('lookups with measured latency', { aliases: ['latency.count'] })),
    latency_mean: optional(counter('mean latency, nanoseconds', { aliases: ['latency.mean'] })),
    latency_max: optional(counter('greatest latency, nanoseconds', { aliases: ['latency.max'] })),
  },
})

/** One row of the DNS log. */
export type DnsEvent = EventOf<typeof dns.columns>
