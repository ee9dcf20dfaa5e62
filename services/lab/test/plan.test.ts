import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readBundle } from '../src/bundle.ts'
import { callUrl } from '../src/manifests/call.ts'
import { parseDocuments } from '../src/manifests/documents.ts'
import { interfaceOf } from '../src/manifests/name.ts'
import { makePlan } from '../src/manifests/plan.ts'
import { publishedResources } from '../src/manifests/published.ts'

const demonstration = makePlan(readBundle(undefined).documents, { id: 'tst', nodes: 2 })
const planOf = (text: string, nodes = 2, previous?: ReturnType<typeof makePlan>) =>
  makePlan(parseDocuments(text, 'test.yaml'), { id: 'tst', nodes, previous })

const deployment = (name: string, more = '') => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers: [{name: main, image: x, ports: [{name: web, containerPort: 8080}]${more}}]
`

describe('the plan of a lab', () => {
  it('finds the sixteen call edges of Online Boutique in its environment variables', () => {
    const plan = demonstration
    const edges = plan.pods
      .filter(({ namespace }) => namespace === 'default')
      .flatMap((pod) => pod.calls.map((call) => `${pod.workload.name} ${call.host}:${call.port}`))
    const table: Record<string, string> = {
      loadgenerator: 'frontend:80',
      frontend:
        'adservice:9555 cartservice:7070 checkoutservice:5050 currencyservice:7000 productcatalogservice:3550 recommendationservice:8080 shippingservice:50051',
      checkoutservice:
        'cartservice:7070 currencyservice:7000 emailservice:5000 paymentservice:50051 productcatalogservice:3550 shippingservice:50051',
      recommendationservice: 'productcatalogservice:3550',
      cartservice: 'redis-cart:6379',
    }
    const expected = Object.entries(table).flatMap(([from, to]) => to.split(' ').map((target) => `${from} ${target}`))
    expect(edges.sort()).toEqual(expected.sort())
    expect(edges).toHaveLength(16)
    expect(plan.notes).toEqual([])
  })

  it('reads the loop of a shell as a call', () => {
    const plan = demonstration
    const centos = plan.pods.find(({ name }) => name === 'centos')
    expect(centos?.calls.filter(({ origin }) => origin === 'command')).toEqual([
      { scheme: 'http', host: 'nginx-svc', port: 80, path: '/', everyMs: 3000, origin: 'command' },
    ])
  })

  it('names pods as Kubernetes does, and the same after a restart', () => {
    const plan = planOf(deployment('web'))
    const [first, second] = plan.pods
    expect(first?.name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    expect(first?.generateName).toBe(first?.name.slice(0, -5))
    expect(first?.labels['pod-template-hash']).toBe(first?.name.split('-')[1])
    expect(second?.name).not.toBe(first?.name)
    expect(second?.generateName).toBe(first?.generateName)
    expect(planOf(deployment('web'))).toEqual(plan)
    expect([first?.node, second?.node]).toEqual(['node1', 'node2'])
    expect([first?.ip, second?.ip]).toEqual(['10.244.1.2', '10.244.2.2'])
  })

  it('numbers the pods of a StatefulSet, and puts one of a DaemonSet on each node', () => {
    const plan = planOf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: x}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: log}
spec:
  selector: {matchLabels: {app: log}}
  template: {metadata: {labels: {app: log}}, spec: {hostNetwork: true, containers: [{name: log, image: x}]}}
`)
    expect(plan.pods.slice(0, 2).map(({ name }) => name)).toEqual(['db-0', 'db-1'])
    expect(plan.pods.slice(2).map(({ node, netns, interfaceName }) => [node, netns, interfaceName])).toEqual([
      ['node1', 'tst-node1', null],
      ['node2', 'tst-node2', null],
    ])
  })

  it('gives a service its pods, by number and by name of the target port', () => {
    const plan = planOf(`${deployment('web')}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: a, port: 80, targetPort: web}, {name: b, port: 81, targetPort: 9090}, {name: c, port: 82, targetPort: none}]
`)
    const [service] = plan.services
    expect(service?.endpoints.map(({ ports }) => ports)).toEqual([
      [8080, 9090, null],
      [8080, 9090, null],
    ])
    expect(plan.pods[0]?.ports.map(({ port }) => port)).toEqual([8080, 9090])
    for (const { nodePort } of service?.ports ?? []) expect(nodePort).toBeGreaterThanOrEqual(30_000)
    expect(new Set(service?.ports.map(({ nodePort }) => nodePort)).size).toBe(3)
  })

  it('reads annotated calls, and tells what it cannot read', () => {
    const plan = planOf(`
apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations:
    margay.dev/lab-calls: "http://x every 15s; tcp://h:99 every 500ms; dns://name.example every 1m; nonsense; udp://h:53"
spec: {containers: [{name: a, image: x}]}
`)
    expect(plan.pods[0]?.calls.map((call) => `${callUrl(call)} ${call.everyMs}`)).toEqual([
      'http://x:80 15000',
      'tcp://h:99 500',
      'dns://name.example 60000',
      'udp://h:53 1000',
    ])
    expect(plan.notes).toHaveLength(1)
    expect(plan.notes[0]).toContain('nonsense')
  })

  it('takes an environment variable as a call only if a service has that name', () => {
    const env = (value: string) => `, env: [{name: TARGET, value: "${value}"}]`
    const service =
      '\n---\napiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {selector: {app: api}, ports: [{port: 80}]}\n'
    const calls = (value: string) => planOf(deployment('web', env(value)) + service, 1).pods[0]?.calls.map(callUrl)
    expect(calls('api:80')).toEqual(['tcp://api:80'])
    expect(calls('http://api/health')).toEqual(['http://api:80/health'])
    expect(calls('redis://user@api.shop.svc.cluster.local')).toEqual(['tcp://api.shop.svc.cluster.local:6379'])
    expect(calls('api.shop:80,other:80')).toEqual(['tcp://api.shop:80'])
    for (const value of ['api', 'api.other:80', 'elsewhere:80', 'registry/api:80', '12:30'])
      expect(calls(value), value).toEqual([])
  })

  it('keeps the node and address of every pod when others come and go', () => {
    const before = planOf(deployment('web'))
    const after = planOf(`${deployment('api')}\n---${deployment('web')}`, 2, before)
    for (const pod of before.pods) expect(after.pods).toContainEqual(pod)
    expect(new Set(after.pods.map(({ ip }) => ip)).size).toBe(4)
    const later = planOf(deployment('api'), 2, after)
    expect(later.pods.map(({ ip }) => ip)).toEqual(after.pods.slice(0, 2).map(({ ip }) => ip))
  })

  it('names what it ignores once for each kind, and refuses names that are none', () => {
    const plan = planOf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: x}]}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: "a b; link del eth0"}
spec: {template: {spec: {}}}
`)
    expect(plan.pods).toEqual([])
    expect(plan.notes).toEqual([
      expect.stringContaining('the name is none'),
      'CronJob ignored: nightly',
      'ConfigMap ignored: settings',
      'Widget ignored: w',
    ])
  })

  it('leaves out of a folder what is not valid, and says where it is', () => {
    const folder = mkdtempSync(join(tmpdir(), 'margay-manifests-'))
    const policy = (nets: string) =>
      `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: a}\nspec: {nets: [${nets}]}\n`
    writeFileSync(join(folder, 'a.yaml'), policy('10.0.0.0/8'))
    writeFileSync(join(folder, 'b.yaml'), policy('$MY_IP/32'))
    writeFileSync(join(folder, 'c.txt'), 'not a manifest')
    const { documents, notes } = readBundle(folder)
    rmSync(folder, { recursive: true })
    expect(documents.filter(({ resource }) => resource.kind === 'GlobalNetworkSet')).toHaveLength(1)
    expect(notes).toEqual([expect.stringMatching(/b\.yaml:4 spec\.nets\[0\]: /)])
    expect(() => readBundle('/nowhere')).toThrow(/cannot read the manifests \/nowhere/)
  })

  it('publishes what a cluster would have, complete for the policy model', () => {
    const resources = publishedResources(demonstration)
    const pod = resources.find(({ kind, metadata }) => kind === 'Pod' && metadata.name.startsWith('frontend-'))
    expect(pod).toMatchObject({
      metadata: { namespace: 'default', labels: { app: 'frontend' }, annotations: { 'margay.dev/lab': 'tst' } },
      spec: { nodeName: 'node1', serviceAccountName: 'default' },
      status: { phase: 'Running', podIPs: [{ ip: expect.stringMatching(/^10\.244\./) }] },
    })
    const slice = resources.find(
      ({ kind, metadata }) =>
        kind === 'EndpointSlice' && metadata.labels?.['kubernetes.io/service-name'] === 'emailservice',
    )
    expect(slice).toMatchObject({ addressType: 'IPv4', ports: [{ name: 'grpc', port: 8080 }] })
    const dev = resources.find(({ kind, metadata }) => kind === 'Namespace' && metadata.name === 'dev')
    expect(dev?.metadata.labels).toMatchObject({ compliance: 'open', 'kubernetes.io/metadata.name': 'dev' })
    expect(resources.filter(({ kind }) => kind === 'Node')).toHaveLength(2)
  })

  it('gives pods and nodes IPv6 beside IPv4 when it is asked to', () => {
    const plan = makePlan(readBundle(undefined).documents, { id: 'tst', nodes: 2, ipv6: true })
    expect(plan.pods.map(({ ip }) => ip)).toEqual(demonstration.pods.map(({ ip }) => ip))
    expect(new Set(plan.pods.map(({ ip6 }) => ip6)).size).toBe(plan.pods.length)
    const [pod] = plan.pods
    const six = pod?.ip.replace(/^10\.244\.(\d+)\.(\d+)$/, 'fd00:10:244:$1::$2')
    const resources = publishedResources(plan)
    const published = resources.find(({ kind, metadata }) => kind === 'Pod' && metadata.name === pod?.name)
    expect(published?.status).toMatchObject({ podIP: pod?.ip, podIPs: [{ ip: pod?.ip }, { ip: six }] })
    const node = resources.find(({ kind, metadata }) => kind === 'Node' && metadata.name === 'node2')
    expect(node?.spec).toMatchObject({ podCIDRs: ['10.244.2.0/24', 'fd00:10:244:2::/64'] })
    expect(node?.status).toMatchObject({
      addresses: [{ address: '172.18.0.3' }, { type: 'InternalIP', address: 'fd00:172:18::3' }, { type: 'Hostname' }],
    })
  })

  it('names interfaces as Calico does', () => {
    // printf default.busybox | sha1sum
    expect(interfaceOf('default', 'busybox')).toBe('cali12d4a061371')
  })
})
