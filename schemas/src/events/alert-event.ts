import {
  boolean,
  choice,
  type EventOf,
  json,
  keyword,
  keywords,
  nullableIp,
  nullablePort,
  optional,
  severity,
  text,
  time,
  word,
} from './column.ts'
import { common, defineEvent } from './event.ts'

/** Kinds of detection; `type` of an alert event. */
const detections = [
  'global_alert',
  'suspicious_ip',
  'suspicious_domain',
  'deep_packet_inspection',
  'waf',
  'port_scan',
  'ip_sweep',
  'dga',
]

/** One hit of an alert: what was detected, by whom, between which endpoints (spec 1.8). */
export const event = defineEvent({
  kind: 'event',
  version: 1,
  table: 'events',
  dataSet: 'events',
  timeColumn: 'time',
  retentionDays: 91,
  orderBy: ['cluster', 'toStartOfHour(time)', 'origin', 'time', 'id'],
  doc: 'alert events: the hits of alerts, threat feeds and detectors',
  columns: {
    ...common,
    id: text('identity of the event'),
    time: time('when it was detected'),
    type: word(detections, 'kind of detection'),
    origin: keyword('name of the alert, feed or detector'),
    name: keyword('display name'),
    description: text('rendered summary'),
    severity: severity('1 to 100'),
    start_time: optional(time('start of the data looked at')),
    end_time: optional(time('end of the data looked at')),
    source_ip: optional(nullableIp('source address')),
    source_port: optional(nullablePort('source port')),
    source_name: optional(keyword('name of the source')),
    source_name_aggr: optional(keyword('prefix*, name, network set, pub or pvt')),
    source_namespace: optional(keyword('namespace of the source; - if none')),
    dest_ip: optional(nullableIp('destination address')),
    dest_port: optional(nullablePort('destination port')),
    dest_name: optional(keyword('name of the destination')),
    dest_name_aggr: optional(keyword('prefix*, name, network set, pub or pvt')),
    dest_namespace: optional(keyword('namespace of the destination; - if none')),
    record: json('the row, or the group and its metric, that raised the event'),
    dismissed: optional(boolean('true when a person hid it')),
    attack_vector: optional(choice(['Network', 'Process', 'File'], 'how the attack travels')),
    mitre_tactic: optional(keyword('tactic of MITRE ATT&CK')),
    mitre_ids: optional(keywords('techniques of MITRE ATT&CK')),
    mitigations: optional(keywords('recommended remediation')),
    geo_info: optional(json('country, city and network of the address')),
  },
})

/** What an alert raised. */
export type AlertEvent = EventOf<typeof event.columns>
