import type { DnsLookup, DnsRecordSet } from '@margay/schemas'
import type { ZoneAnswer } from '../dns/zone.ts'

const rcodes = { NOERROR: 'NoError', NXDOMAIN: 'NXDomain' } as const

/** An answer about addresses as the agent of the client's node would have read it from the wire. */
export function lookupOf(client: string, server: string, name: string, answer: ZoneAnswer): DnsLookup {
  const sets = new Map<string, DnsRecordSet>()
  for (const record of answer.answers) {
    const key = `${record.name} ${record.type}`
    const set = sets.get(key) ?? { name: record.name, type: record.type, class: 'IN', rdata: [] }
    set.rdata.push(typeof record.data === 'string' ? record.data : record.data.target)
    set.rdata.sort() // the order of addresses turns: it is no other answer
    sets.set(key, set)
  }
  return {
    client,
    server,
    message: {
      question: { name, type: 'A', class: 'IN' },
      rcode: rcodes[answer.rcode],
      rrsets: [...sets.values()],
      addresses: answer.answers.flatMap((record) =>
        record.type === 'A' ? [{ ip: record.data, ttl: record.ttl }] : [],
      ),
    },
    latency: null,
  }
}
