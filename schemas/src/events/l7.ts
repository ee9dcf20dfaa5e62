import { counter, type EventOf, keyword, optional, port, text, time, word } from './column.ts'
import { common, defineEvent, endpointType } from './event.ts'

/** Requests of one workload to another, merged during one flush interval (spec 4.4). */
export const l7 = defineEvent({
  kind: 'l7',
  version: 1,
  table: 'l7',
  dataSet: 'l7',
  timeColumn: 'end_time',
  retentionDays: 8,
  orderBy: [
    'cluster',
    'toStartOfFiveMinutes(end_time)',
    'dest_namespace',
    'dest_name_aggr',
    'src_namespace',
    'src_name_aggr',
    'end_time',
  ],
  doc: 'HTTP requests and TLS handshakes between workloads',
  columns: {
    ...common,
    start_time: time('start of the interval'),
    end_time: time('end of the interval'),
    src_name_aggr: keyword('prefix*, pod name, host name, network set, pub or pvt', { aliases: ['source_name_aggr'] }),
    src_namespace: keyword('namespace of the client; - if none', { aliases: ['source_namespace'] }),
    src_type: endpointType('kind of client', ['source_type']),
    dest_name_aggr: keyword('as src_name_aggr'),
    dest_namespace: keyword('namespace of the server; - if none'),
    dest_type: endpointType('kind of server'),
    dest_service_name: keyword('service addressed; may be empty'),
    dest_service_namespace: keyword('namespace of the service; may be empty'),
    dest_service_port: optional(port('number of the service port')),
    bytes_in: counter('bytes received by the server'),
    bytes_out: counter('bytes sent by the server'),
    count: counter('requests merged into the row'),
    duration_mean: counter('mean duration, nanoseconds'),
    duration_max: counter('greatest duration, nanoseconds'),
    url: optional(text('URL; HTTP only')),
    method: optional(
      word(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE'], 'method; HTTP only'),
    ),
    response_code: optional(keyword('status of the answer; HTTP only', { numeric: true })),
    user_agent: optional(text('user agent; HTTP only')),
    type: keyword('tcp, tls or html/<version>'),
    protocol: optional(word(['http', 'tls'], 'http or tls')),
    protocol_version: optional(keyword('1.0, 1.1 or 2')),
    collector_type: optional(word(['ebpf', 'envoy-access-log'], 'what collected it')),
    collector_name: optional(word(['ebpf-tcp', 'daemonset', 'waypoint'], 'which collector it was')),
    tls_sni: optional(keyword('server name asked for; TLS only')),
    tls_version: optional(keyword('version; TLS only')),
    tls_cipher_suite: optional(keyword('cipher suite; TLS only')),
  },
})

/** One row of the HTTP log. */
export type L7Event = EventOf<typeof l7.columns>
