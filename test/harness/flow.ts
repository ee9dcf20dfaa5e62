import type { FlowEvent } from '@margay/schemas'

const time = Date.UTC(2026, 0, 10, 12)

/** A whole flow, from a pod to the public network; the members that a test is about are given. */
export function aFlow(members: Partial<FlowEvent> = {}): FlowEvent {
  return {
    cluster: 'c',
    host: 'node1',
    start_time: time - 10_000,
    end_time: time,
    action: 'allow',
    reporter: 'src',
    proto: 'tcp',
    source_ip: '10.0.0.1',
    source_port: null,
    source_name: '-',
    source_name_aggr: 'web-*',
    source_namespace: 'shop',
    source_type: 'wep',
    source_labels: ['app=web'],
    dest_ip: null,
    dest_port: 443,
    dest_name: '-',
    dest_name_aggr: 'pub',
    dest_namespace: '-',
    dest_type: 'net',
    dest_labels: [],
    dest_service_namespace: '-',
    dest_service_name: '-',
    dest_service_port: '-',
    dest_domains: [],
    enforced_policies: [],
    pending_policies: [],
    bytes_in: 1,
    bytes_out: 2,
    packets_in: 3,
    packets_out: 4,
    num_flows: 1,
    num_flows_started: 1,
    num_flows_completed: 0,
    ...members,
  }
}
