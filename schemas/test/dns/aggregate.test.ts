import {
  createAnsweredNames,
  createDnsAggregator,
  type DnsLookup,
  type DnsSettings,
  type Identity,
} from '@margay/schemas'
import { expect, test } from 'vitest'

const client = '10.0.0.1'
const server = '10.0.0.53'

const settings: DnsSettings = { dnsAggregation: 1, dnsIncludeLabels: true, dnsLatency: true, dnsLimit: 0 }

function identity(ip: string): Identity {
  if (ip === server)
    return {
      type: 'wep',
      namespace: 'kube-system',
      name: 'dns-1',
      nameAggr: 'dns-*',
      labels: ['k8s-app=kube-dns'],
      endpoint: null,
    }
  const name = `web-${ip.split('.').at(-1)}`
  return { type: 'wep', namespace: 'shop', name, nameAggr: 'web-*', labels: ['app=web', `pod=${name}`], endpoint: null }
}

const lookup = (over: Partial<DnsLookup> = {}): DnsLookup => ({
  client,
  server,
  message: {
    question: { name: 'www.example.com', type: 'A', class: 'IN' },
    rcode: 'NoError',
    rrsets: [{ name: 'www.example.com', type: 'A', class: 'IN', rdata: ['192.0.2.1'] }],
    addresses: [{ ip: '192.0.2.1', ttl: 5 }],
  },
  latency: null,
  ...over,
})

const make = () => createDnsAggregator({ model: { identify: identity }, cluster: 'c', host: 'n', start: 1000 })

test('lookups of pods with one prefix are one row with the labels they share', () => {
  const aggregator = make()
  aggregator.add(lookup({ latency: 100 }), settings)
  aggregator.add(lookup({ latency: 301, client: '10.0.0.2' }), settings)
  aggregator.add(lookup(), settings)
  const [event, ...others] = aggregator.flush(2000)
  expect(others).toEqual([])
  expect(event).toMatchObject({
    start_time: 1000,
    end_time: 2000,
    type: 'LOG',
    count: 3,
    client_ip: null,
    client_name: '-',
    client_name_aggr: 'web-*',
    client_labels: ['app=web'],
    qname: 'www.example.com',
    rrsets: [{ name: 'www.example.com', type: 'A', class: 'IN', rdata: ['192.0.2.1'] }],
    servers: [{ ip: server, name: 'dns-1', namespace: 'kube-system' }],
    latency_count: 2,
    latency_mean: 201,
    latency_max: 301,
  })
  expect(aggregator.flush(3000)).toEqual([])
})

test('without aggregation every client has its row; above the limit lookups are counted only', () => {
  const aggregator = make()
  const single = { ...settings, dnsAggregation: 0 as const, dnsLimit: 2, dnsLatency: false }
  for (const last of [1, 2, 3, 1]) aggregator.add(lookup({ client: `10.0.0.${last}` }), single)
  const events = aggregator.flush(2000)
  expect(events.map((e) => [e.type, e.client_name, e.count])).toEqual([
    ['LOG', 'web-1', 2],
    ['LOG', 'web-2', 1],
    ['UNLOGGED', '-', 1],
  ])
  expect(events[0]).not.toHaveProperty('latency_mean')
})

test('an address is named after what the client looked up, for as long as the record lives', () => {
  let now = 0
  const names = createAnsweredNames({ now: () => now })
  names.add(lookup())
  expect(names.names(client, '192.0.2.1')).toEqual(['www.example.com'])
  expect(names.names('10.0.0.2', '192.0.2.1')).toEqual([])
  now = 61_000
  expect(names.names(client, '192.0.2.1')).toEqual([])
})
