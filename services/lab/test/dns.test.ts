import dnsPacket from 'dns-packet'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../src/bundle.ts'
import { answer } from '../src/dns/message.ts'
import { lookUp, resolvConf, searchNames, zoneOf } from '../src/dns/zone.ts'
import { parseDocuments } from '../src/manifests/documents.ts'
import { makePlan } from '../src/manifests/plan.ts'

const documents = [
  ...readBundle(undefined).documents,
  ...parseDocuments(
    `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: dev}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: x, ports: [{name: sql, containerPort: 5432}]}]}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: dev}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432, targetPort: sql}]}
---
apiVersion: v1
kind: Service
metadata: {name: search, namespace: dev}
spec: {type: ExternalName, externalName: www.google.com}
`,
    'db.yaml',
  ),
]
const plan = makePlan(documents, { id: 'tst', nodes: 2 })
const zone = zoneOf(plan)
const addresses = (name: string, turn = 0) =>
  lookUp(zone, { name, type: 'A' }, turn).answers.flatMap((r) => (r.type === 'A' ? [r.data] : []))

const ask = (name: string, type: 'A' | 'AAAA' | 'SRV' | 'PTR', transport: 'udp' | 'tcp' = 'udp') => {
  const query = dnsPacket.encode({
    type: 'query',
    id: 7,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
  })
  const reply = answer(zone, query, transport)
  return dnsPacket.decode(reply as Buffer)
}

/** The published types of dns-packet leave it out. */
const rcodeOf = (packet: object) => (packet as { rcode: string }).rcode

describe('the name server', () => {
  it('answers a headless service over IPv6 too, where pods have it', () => {
    const six = zoneOf(makePlan(documents, { id: 'tst', nodes: 2, ipv6: true }))
    const name = 'db.dev.svc.cluster.local'
    const data = lookUp(six, { name, type: 'AAAA' }).answers.map((record) => record.data)
    expect(data.sort()).toEqual([expect.stringMatching(/^fd00:10:244:1::/), expect.stringMatching(/^fd00:10:244:2::/)])
    expect(lookUp(zone, { name, type: 'AAAA' })).toEqual({ rcode: 'NOERROR', answers: [] })
  })

  it('answers a service with its cluster IP, whatever the case of the name', () => {
    expect(addresses('kube-dns.kube-system.svc.cluster.local')).toEqual(['10.96.0.10'])
    expect(addresses('KUBE-DNS.Kube-System.svc.cluster.local.')).toEqual(['10.96.0.10'])
  })

  it('answers a headless service with its pods, and each pod by its name', () => {
    const ips = plan.pods.filter(({ workload }) => workload.name === 'db').map(({ ip }) => ip)
    expect(addresses('db.dev.svc.cluster.local').sort()).toEqual([...ips].sort())
    expect(addresses('db-1.db.dev.svc.cluster.local')).toEqual([ips[1]])
    expect(
      ask('_sql._tcp.db.dev.svc.cluster.local', 'SRV').answers?.map((r) => r.type === 'SRV' && r.data.target),
    ).toEqual(['db-0.db.dev.svc.cluster.local', 'db-1.db.dev.svc.cluster.local'])
  })

  it('follows aliases, and turns several addresses', () => {
    const chain = lookUp(zone, { name: 'api.twilio.com', type: 'A' }).answers
    expect(chain.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'api.twilio.com CNAME',
      'edge.twilio-api.example A',
      'edge.twilio-api.example A',
    ])
    expect(addresses('search.dev.svc.cluster.local')).toEqual(addresses('www.google.com'))
    expect(addresses('www.google.com', 1)).not.toEqual(addresses('www.google.com', 0))
    expect(addresses('www.google.com', 1).sort()).toEqual(addresses('www.google.com', 0).sort())
  })

  it('says that a name does not exist, or that it has no such record', () => {
    const unknown = ask('nowhere.example', 'A')
    expect([rcodeOf(unknown), unknown.answers]).toEqual(['NXDOMAIN', []])
    const empty = ask('www.google.com', 'AAAA')
    expect([rcodeOf(empty), empty.answers]).toEqual(['NOERROR', []])
    expect(empty.id).toBe(7)
  })

  it('truncates over UDP what is for TCP only', () => {
    expect(ask('large.example.com', 'A')).toMatchObject({ flag_tc: true, answers: [] })
    expect(ask('large.example.com', 'A', 'tcp')).toMatchObject({ flag_tc: false })
    expect(ask('large.example.com', 'A', 'tcp').answers).toHaveLength(2)
  })

  it('does not answer what is no query', () => {
    expect(answer(zone, Buffer.from('nonsense'), 'udp')).toBeNull()
    expect(answer(zone, Buffer.alloc(0), 'udp')).toBeNull()
  })
})

describe('a pod’s resolver', () => {
  it('tries the search domains first for a name with fewer than five dots', () => {
    expect(searchNames('web', 'dev')).toEqual([
      'web.dev.svc.cluster.local',
      'web.svc.cluster.local',
      'web.cluster.local',
      'web',
    ])
    expect(searchNames('a.b.c.d.e.f', 'dev')[0]).toBe('a.b.c.d.e.f')
    expect(searchNames('www.google.com.', 'dev')).toEqual(['www.google.com'])
  })

  it('is set up as the kubelet does', () => {
    expect(resolvConf('dev', '10.96.0.10')).toBe(
      'nameserver 10.96.0.10\nsearch dev.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    )
  })
})
