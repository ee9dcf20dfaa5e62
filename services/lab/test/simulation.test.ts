import { createReporter } from '@margay/kit/reporter'
import type { ResourceCache, ResourceChange } from '@margay/kit/resources'
import { type DnsEvent, dns, type FlowEvent, flow, keyOf, type Resource, topicOf, validateEvent } from '@margay/schemas'
import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/harness/memory-log.ts'
import { readBundle } from '../src/bundle.ts'
import { makePlan } from '../src/manifests/plan.ts'
import { publishedResources } from '../src/manifests/published.ts'
import { createSimulation } from '../src/simulated/simulation.ts'
import { parseDestination, requirePod } from '../src/target.ts'

const bundle = readBundle(undefined)
const plan = makePlan(bundle.documents, { id: 'tst', nodes: 2 })

/** Lets a workload call one place outside by its name. */
const telephone: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { name: 'platform.external-apis', namespace: 'dev' },
  spec: {
    tier: 'platform',
    order: 100,
    selector: "app == 'centos'",
    types: ['Egress'],
    egress: [{ action: 'Allow', protocol: 'TCP', destination: { domains: ['*.twilio.com'], ports: [443] } }],
  },
}

/** A cache that the test fills by hand. */
function aCache(): ResourceCache & { put(resource: Resource): void } {
  const resources = new Map<string, Resource>()
  const listeners = new Set<(change: ResourceChange) => void>()
  return {
    name: 'resources',
    version: 1,
    get: (key) => resources.get(key) ?? null,
    list: (plural) => [...resources].filter(([key]) => !plural || key.startsWith(`${plural}.`)).map(([, r]) => r),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    synced: async () => {},
    put(resource) {
      const key = keyOf(resource)
      resources.set(key, resource)
      for (const listener of listeners) listener({ key, resource, previous: null, version: 1 })
    },
  }
}

async function aSimulation(policies: readonly Resource[]) {
  const log = createMemoryLog()
  const resources = aCache()
  let now = 1_700_000_000_000
  const simulation = createSimulation(
    { cluster: 'c', flushMs: 60_000, heartbeatMs: 60_000 },
    { log, resources, reporter: createReporter('lab', { level: 'silent' }), now: () => now++ },
  )
  await simulation.network.update(plan)
  for (const resource of [...publishedResources(plan), ...policies]) resources.put(resource)
  const read = <E>(topic: string) =>
    log.records(topic).flatMap(({ value }) =>
      String(value)
        .split('\n')
        .map((line) => JSON.parse(line) as E),
    )
  return {
    resources,
    async probe(from: string, to: string, protocol: 'tcp' | 'udp' = 'tcp') {
      const pod = requirePod(plan, from)
      const { host, port } = parseDestination(plan, to)
      return await simulation.network.connect(pod, { scheme: protocol, host, port, timeoutMs: 1000 })
    },
    async events() {
      await simulation.flush()
      return { flows: read<FlowEvent>(topicOf(flow)), lookups: read<DnsEvent>(topicOf(dns)) }
    },
  }
}

describe('the simulated lab', () => {
  it('lets everything through without policy, and tells it from both ends', async () => {
    const { probe, events } = await aSimulation([])
    expect(await probe('dev/centos', 'default/frontend:80')).toMatchObject({ ok: true })
    const { flows } = await events()
    const shop = flows.filter((event) => event.dest_name_aggr.startsWith('frontend-'))
    expect(shop.map(({ reporter, action, host }) => [reporter, action, host])).toEqual([
      ['src', 'allow', requirePod(plan, 'dev/centos').node],
      ['dst', 'allow', requirePod(plan, 'default/frontend').node],
    ])
    expect(shop[0]).toMatchObject({
      simulated: true,
      dest_service_name: 'frontend',
      dest_port: 8080,
      num_flows: 1,
      enforced_policies: ['0|__PROFILE__|__PROFILE__.kns.dev|allow|0'],
    })
    expect(shop[0]?.bytes_out).toBe(shop[1]?.bytes_in)
    for (const event of flows) expect(validateEvent(flow, event)).toBeNull()
  })

  it('judges the demonstration as its policies say', async () => {
    const { probe, events } = await aSimulation([...bundle.policies, telephone])
    expect(await probe('dev/netshoot', 'default/paymentservice:50051')).toMatchObject({ ok: false, error: 'timed out' })
    expect(await probe('dev/centos', 'www.google.com:80')).toMatchObject({ ok: false })
    expect(await probe('dev/centos', 'api.twilio.com:443')).toMatchObject({ ok: true })
    expect(await probe('dev/centos', 'dev/nginx-svc:80')).toMatchObject({ ok: true })
    for (const pod of plan.pods.filter(({ namespace }) => namespace === 'default')) {
      for (const { host, port } of pod.calls)
        expect(await probe(`default/${pod.name}`, `${host}:${port}`), `${pod.name} ${host}`).toMatchObject({ ok: true })
    }
    const { flows, lookups } = await events()
    const denied = flows.filter(({ action }) => action === 'deny')
    expect(denied.map(({ source_name, dest_name_aggr }) => `${source_name} ${dest_name_aggr}`)).toEqual([
      expect.stringMatching(/^netshoot paymentservice-\w+-\*$/),
      'centos pub',
    ])
    for (const { enforced_policies } of denied)
      expect(enforced_policies.at(-1)).toMatch(/\|default\|default\.default-deny\|deny\|-1$/)
    expect(lookups.find(({ qname }) => qname === 'api.twilio.com')).toMatchObject({
      client_namespace: 'dev',
      rcode: 'NoError',
      rrsets: [{ type: 'CNAME' }, { type: 'A' }],
    })
    expect(lookups.filter(({ rcode }) => rcode === 'NXDomain').map(({ qname }) => qname)).toContain(
      'www.google.com.dev.svc.cluster.local',
    )
    for (const event of lookups) expect(validateEvent(dns, event)).toBeNull()
  })

  it('follows a policy at once, and cuts a quarantined pod off from the name server too', async () => {
    const { probe, resources } = await aSimulation(bundle.policies)
    expect(await probe('dev/centos', 'dev/nginx-svc:80')).toMatchObject({ ok: true })
    const pod = publishedResources(plan).find(({ kind, metadata }) => kind === 'Pod' && metadata.name === 'centos')
    const metadata = { ...pod?.metadata, name: 'centos', labels: { ...pod?.metadata.labels, quarantine: 'true' } }
    resources.put({ ...(pod as Resource), metadata })
    expect(await probe('dev/centos', 'dev/nginx-svc:80')).toMatchObject({ ok: false, address: null })
    expect(await probe('dev/centos', 'dev/dev-nginx:80')).toMatchObject({ ok: false, error: 'timed out' })
  })

  it('tells a closed port from a denial', async () => {
    const { probe } = await aSimulation([])
    expect(await probe('dev/centos', 'default/frontend:81')).toMatchObject({ ok: false, error: 'refused' })
    expect(await probe('dev/centos', '198.51.100.99:80')).toMatchObject({ ok: false, error: 'timed out' })
    expect(await probe('dev/centos', 'nowhere.example:80')).toMatchObject({ ok: false, address: null })
    const own = plan.pods.find(({ namespace, name }) => `${namespace}/${name}` === 'dev/centos')?.node
    const kubelet = (isOwn: boolean) => `${plan.nodes.find(({ name }) => (name === own) === isOwn)?.ip}:10250`
    expect(await probe('dev/centos', kubelet(false))).toMatchObject({ ok: true })
    // What a pod sends to its own node is dropped unless settings say otherwise.
    expect(await probe('dev/centos', kubelet(true))).toMatchObject({ ok: false, error: 'timed out' })
  })
})
