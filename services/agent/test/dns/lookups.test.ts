import type { Identity } from '@margay/schemas'
import { encode } from 'dns-packet'
import { expect, test } from 'vitest'
import { createDnsAggregator, type DnsSettings } from '../../src/dns/aggregate.ts'
import { createAnsweredNames } from '../../src/dns/answered-names.ts'
import { createLookups, type Lookup } from '../../src/dns/lookups.ts'
import { ipv4Packet, udpDatagram } from '../flows/packets.ts'

const client = '10.0.0.1'
const server = '10.0.0.53'

function query(port: number, id: number, name = 'www.example.com'): Buffer {
  const message = encode({ type: 'query', id, questions: [{ type: 'A', name }] })
  return ipv4Packet({ source: client, destination: server, protocol: 17, transport: udpDatagram(port, 53, message) })
}

function answer(port: number, id: number, name = 'www.example.com', ip = '192.0.2.1'): Buffer {
  const message = encode({
    type: 'response',
    id,
    questions: [{ type: 'A', name }],
    answers: [{ type: 'A', name, ttl: 5, data: ip }],
  })
  return ipv4Packet({ source: server, destination: client, protocol: 17, transport: udpDatagram(53, port, message) })
}

test('a response is paired with its own request', () => {
  const take = createLookups()
  expect(take(query(1000, 1), 1_000n)).toBe('request')
  expect(take(query(1001, 1), 2_000n)).toBe('request')
  expect(take(answer(1001, 1), 5_000n)).toMatchObject({ client, server, latency: 3000 })
  expect(take(answer(1000, 1), 7_000n)).toMatchObject({ latency: 6000 })
  expect(take(answer(1000, 1), 9_000n)).toMatchObject({ latency: null })
  expect(take(Buffer.from('junk'), 0n)).toBe('malformed')
})

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

const lookup = (port: number, over: Partial<Lookup> = {}): Lookup => ({
  ...(createLookups()(answer(port, 1), 0n) as Lookup),
  ...over,
})

const make = () => createDnsAggregator({ model: { identify: identity }, cluster: 'c', host: 'n', start: 1000 })

test('lookups of pods with one prefix are one row with the labels they share', () => {
  const aggregator = make()
  aggregator.add(lookup(1, { latency: 100 }), settings)
  aggregator.add(lookup(2, { latency: 301, client: '10.0.0.2' }), settings)
  aggregator.add(lookup(3), settings)
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
  for (const last of [1, 2, 3, 1]) aggregator.add(lookup(last, { client: `10.0.0.${last}` }), single)
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
  names.add(lookup(1))
  expect(names.names(client, '192.0.2.1')).toEqual(['www.example.com'])
  expect(names.names('10.0.0.2', '192.0.2.1')).toEqual([])
  now = 61_000
  expect(names.names(client, '192.0.2.1')).toEqual([])
})
