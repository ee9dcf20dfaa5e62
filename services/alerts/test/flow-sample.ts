import type { FlowEvent } from '@margay/schemas'
import { aFlow as anyFlow } from '../../../test/harness/flow.ts'

/** A flow from the load generator to nginx in another namespace, allowed at its destination, that ends now. */
export function aFlow(rest: Partial<FlowEvent> = {}): FlowEvent {
  return anyFlow({
    cluster: 'cluster',
    start_time: Date.now() - 5000,
    end_time: Date.now(),
    reporter: 'dst',
    source_ip: null,
    source_name_aggr: 'loadgenerator-*',
    source_namespace: 'default',
    source_labels: ['app=loadgenerator'],
    dest_port: 80,
    dest_name_aggr: 'dev-nginx-*',
    dest_namespace: 'dev',
    dest_type: 'wep',
    dest_labels: ['app=nginx'],
    bytes_in: 1,
    bytes_out: 1,
    packets_in: 1,
    packets_out: 1,
    ...rest,
  })
}
