import type { DnsEvent, PolicyModel } from '@margay/schemas'
import type { SimulatedLookup } from './connection.ts'

/** Collects the lookups of an interval and makes DNS events of them: one for each client prefix, name and answer. */
export interface DnsRows {
  add(lookup: SimulatedLookup): void
  flush(now: number): DnsEvent[]
}

const rcodes = { NOERROR: 'NoError', NXDOMAIN: 'NXDomain' } as const

export function createDnsRows(options: {
  readonly model: Pick<PolicyModel, 'identify'>
  readonly cluster: string
  readonly host: string
  readonly start: number
}): DnsRows {
  const { model, cluster, host } = options
  let start = options.start
  let rows = new Map<string, DnsEvent>()

  function rowOf({ client, server, name, answer }: SimulatedLookup): DnsEvent {
    const from = model.identify(client, null)
    const by = model.identify(server, from.endpoint)
    const sets = new Map<string, { name: string; type: string; class: string; rdata: string[] }>()
    for (const record of answer.answers) {
      const key = `${record.name} ${record.type}`
      const set = sets.get(key) ?? { name: record.name, type: record.type, class: 'IN', rdata: [] }
      set.rdata.push(typeof record.data === 'string' ? record.data : record.data.target)
      set.rdata.sort() // the order of addresses turns: it is no other answer
      sets.set(key, set)
    }
    return {
      cluster,
      host,
      simulated: true,
      start_time: start,
      end_time: start,
      type: 'LOG',
      count: 0,
      client_ip: null,
      client_name: '-',
      client_name_aggr: from.nameAggr,
      client_namespace: from.namespace,
      client_labels: [...from.labels],
      qname: name,
      qtype: 'A',
      qclass: 'IN',
      rcode: rcodes[answer.rcode],
      rrsets: [...sets.values()],
      servers: [
        {
          ip: server,
          name: by.endpoint === null ? '-' : by.name,
          name_aggr: by.nameAggr,
          namespace: by.namespace,
          labels: [...by.labels],
        },
      ],
    }
  }

  return {
    add(lookup) {
      const row = rowOf(lookup)
      const { client_labels, ...same } = row
      const key = JSON.stringify(same)
      const known = rows.get(key)
      if (known === undefined) rows.set(key, { ...row, count: 1 })
      else {
        const labels = known.client_labels.filter((label) => client_labels.includes(label))
        rows.set(key, { ...known, client_labels: labels, count: known.count + 1 })
      }
    },
    flush(now) {
      const events = [...rows.values()].map((row) => ({ ...row, end_time: now }))
      rows = new Map()
      start = now
      return events
    },
  }
}
