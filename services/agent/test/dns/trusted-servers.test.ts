import type { Resource } from '@margay/schemas'
import { expect, test } from 'vitest'
import { trustedServers } from '../../src/dns/trusted-servers.ts'

const service = (name: string, spec: object, namespace = 'kube-system'): Resource => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec,
})
const slice = (of: string, addresses: string[], ports: object[]): Resource =>
  ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${of}-1`, namespace: 'kube-system', labels: { 'kubernetes.io/service-name': of } },
    endpoints: [{ addresses }],
    ports,
  }) as Resource

const resources = {
  services: [
    service('kube-dns', {
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'fd00:0::A'],
      ports: [
        { name: 'dns', port: 53, targetPort: 5353, protocol: 'UDP' },
        { name: 'metrics', port: 9153 },
      ],
    }),
    service('kube-dns', { clusterIP: '10.96.9.9', ports: [{ port: 53 }] }, 'shop'),
    service('headless', { clusterIP: 'None', ports: [{ name: 'x', port: 5300 }] }),
  ],
  endpointSlices: [
    slice(
      'kube-dns',
      ['10.0.0.7', '10.0.1.7'],
      [
        { name: 'dns', port: 5353 },
        { name: 'metrics', port: 9153 },
      ],
    ),
    slice('headless', ['10.0.0.8'], [{ name: 'x', port: 5300 }]),
  ],
}
const told = (...entries: string[]) => trustedServers(entries, resources).servers.map(({ ip, port }) => `${ip} ${port}`)

test('addresses stand for themselves, at port 53 unless they say another', () => {
  expect(told('192.0.2.1', '192.0.2.2:5353', '[2001:db8:0::1]:54', '2001:DB8::2', '169.254.20.10')).toEqual([
    '192.0.2.1 53',
    '192.0.2.2 5353',
    '2001:db8::1 54',
    '2001:db8::2 53',
    '169.254.20.10 53',
  ])
})

test('a service stands for its cluster addresses and for what is behind its port', () => {
  expect(told('k8s-service:kube-dns')).toEqual(['10.96.0.10 53', 'fd00::a 53', '10.0.0.7 5353', '10.0.1.7 5353'])
  expect(told('k8s-service:shop/kube-dns:53')).toEqual(['10.96.9.9 53'])
  expect(told('k8s-service:kube-system/kube-dns:9153')).toEqual([
    '10.96.0.10 9153',
    'fd00::a 9153',
    '10.0.0.7 9153',
    '10.0.1.7 9153',
  ])
  expect(told('k8s-service:headless')).toEqual(['10.0.0.8 5300'])
})

test('a service that does not exist is named, and trusts nobody', () => {
  expect(trustedServers(['k8s-service:nope'], resources)).toEqual({ servers: [], unknown: ['k8s-service:nope'] })
})
