import type { FlowEvent } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../src/bundle.ts'
import { bestOf, type Sought } from '../src/flow-search.ts'
import { makePlan } from '../src/manifests/plan.ts'
import { arrivals, parseDestination, requirePod, requireSource } from '../src/target.ts'

const plan = makePlan(readBundle(undefined).documents, { id: 'tst', nodes: 2 })
const frontend = requirePod(plan, 'default/frontend')
const centos = requirePod(plan, 'dev/centos')
const service = plan.services.find(({ name }) => name === 'frontend')

describe('the destination of a probe', () => {
  it('is a pod, a workload’s pod or a service: the first that has the port', () => {
    expect(parseDestination(plan, `default/${frontend.name}:80`).host).toBe(frontend.ip)
    expect(parseDestination(plan, 'default/frontend:8080').host).toBe(frontend.ip)
    expect(parseDestination(plan, 'default/frontend:80').host).toBe('frontend.default.svc.cluster.local.')
    expect(parseDestination(plan, 'default/frontend:81').host).toBe(frontend.ip)
    expect(parseDestination(plan, 'dev/nginx-svc:80').host).toBe('nginx-svc.dev.svc.cluster.local.')
    expect(parseDestination(plan, 'www.google.com:443')).toEqual({
      host: 'www.google.com',
      port: 443,
      shown: 'www.google.com',
    })
  })

  it('is an IPv6 address in brackets, in whatever spelling', () => {
    const shortest = { host: 'fd00:10:244:1::6', port: 80 }
    expect(parseDestination(plan, '[fd00:10:244:1::6]:80')).toEqual({ ...shortest, shown: '[fd00:10:244:1::6]' })
    expect(parseDestination(plan, '[FD00:10:244:1:0:0:0:6]:80')).toMatchObject(shortest)
    for (const text of ['[fd00::1]', 'fd00::1:80', '[1.2.3.4]:80', '[fd00::g]:80', 'dev/[fd00::1]:80'])
      expect(() => parseDestination(plan, text), text).toThrow(/is no destination/)
  })

  it('is refused when there is none such, or it is not well-formed', () => {
    expect(() => parseDestination(plan, 'default/nothing:80')).toThrow(/neither a pod nor a service default\/nothing/)
    for (const text of ['default/frontend', 'frontend:0', 'a/b/c:1', ':80', 'frontend:99999'])
      expect(() => parseDestination(plan, text), text).toThrow(/is no destination/)
  })

  it('arrives at the pods behind a service, on their own port', () => {
    expect(arrivals(plan, service?.clusterIp as string, 80)).toContainEqual({ ip: frontend.ip, port: 8080 })
    expect(arrivals(plan, '192.0.2.10', 80)).toEqual([{ ip: '192.0.2.10', port: 80 }])
  })
})

describe('the source of a probe', () => {
  it('is a pod, or a machine outside at an address that is given to it', () => {
    expect(requireSource(plan, 'dev/centos')).toMatchObject({ pod: centos, ip: centos.ip, netns: centos.netns })
    const [host] = plan.internet.hosts
    expect(requireSource(plan, `internet/${host?.address}`)).toMatchObject({
      pod: null,
      ip: host?.address,
      netns: 'tst-internet',
    })
    expect(() => requireSource(plan, 'internet/192.0.2.250')).toThrow(/nobody has the address 192\.0\.2\.250/)
    expect(() => requireSource(plan, 'internet/nothing')).toThrow(/no pod internet\/nothing/)
  })
})

describe('the record of a probe', () => {
  const sought: Sought = {
    source: { ip: centos.ip, pod: centos },
    protocol: 'tcp',
    sourcePort: 40_000,
    arrivals: [{ ip: frontend.ip, port: 8080 }],
    destinations: [frontend],
    ok: true,
  }
  const event = (more: Partial<FlowEvent>) =>
    ({
      proto: 'tcp',
      action: 'allow',
      reporter: 'src',
      source_ip: centos.ip,
      source_port: null,
      dest_ip: frontend.ip,
      dest_port: 8080,
      start_time: 1000,
      end_time: 2000,
      ...more,
    }) as FlowEvent
  const best = (events: FlowEvent[], ok = true) => bestOf(events, { ...sought, ok }, 1000)

  it('is the destination’s word when it was let through', () => {
    const [src, dst] = [event({}), event({ reporter: 'dst' })]
    expect(best([src])).toEqual({ flow: src, isFinal: false })
    expect(best([src, dst])).toEqual({ flow: dst, isFinal: true })
  })

  it('is the denial when it was not', () => {
    const deny = event({ action: 'deny' })
    expect(best([event({}), deny, event({ reporter: 'dst' })], false)).toEqual({ flow: deny, isFinal: true })
  })

  it('of a machine outside is told by its address, or by its not being a pod where addresses are left out', () => {
    const outside = { ip: '198.51.100.10', pod: null }
    const find = (event: FlowEvent) => bestOf([event], { ...sought, source: outside }, 1000)?.flow ?? null
    const own = event({ reporter: 'dst', source_ip: '198.51.100.10' })
    expect(find(own)).toBe(own)
    expect(find(event({ reporter: 'dst' }))).toBeNull()
    const merged = event({ reporter: 'dst', source_ip: null, source_type: 'net', source_name_aggr: 'pub' })
    expect(find(merged)).toBe(merged)
    expect(find({ ...merged, source_type: 'wep' })).toBeNull()
  })

  it('is not one of an interval that began before the probe, if there is another', () => {
    const old = event({ reporter: 'dst', start_time: 500 })
    expect(best([old])).toEqual({ flow: old, isFinal: false })
    const fresh = event({ reporter: 'src' })
    expect(best([fresh, old])?.flow).toBe(fresh)
    expect(best([event({ end_time: 900 })])).toBeNull()
  })

  it('is of the same connection', () => {
    for (const other of [
      { proto: 'udp' },
      { source_port: 40_001 },
      { source_ip: '10.244.9.9' },
      { dest_ip: '10.244.9.9' },
      { dest_port: 80 },
    ])
      expect(best([event(other)]), JSON.stringify(other)).toBeNull()
    const aggregated = { source_ip: null, dest_ip: null, source_namespace: 'dev', source_name_aggr: 'centos' }
    const to = { dest_namespace: 'default', dest_name_aggr: `${frontend.generateName}*` }
    expect(best([event({ ...aggregated, ...to })])).not.toBeNull()
    expect(best([event({ ...aggregated, ...to, dest_name_aggr: 'adservice-*' })])).toBeNull()
  })
})
