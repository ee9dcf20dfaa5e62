import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { labObstacle, startLab, type TestLab } from '../../../test/harness/lab.ts'
import { runCommand } from '../../../test/harness/product.ts'

const manifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: x, ports: [{containerPort: 8080}, {containerPort: 9999, protocol: UDP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}, {name: echo, port: 9999, protocol: UDP}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, annotations: {margay.dev/lab-status: "503"}}
spec: {nodeName: node1, containers: [{name: client, image: x, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop}
spec: {nodeName: node2, hostNetwork: true, containers: [{name: agent, image: x, ports: [{containerPort: 9100}]}]}
`
/** What the machine has beside the lab: it must be the same afterwards. */
async function machine(prefix: string) {
  const netns = (await runCommand('ip', ['netns', 'list'])).stdout.split('\n').filter((line) => line.startsWith(prefix))
  const links = (await runCommand('ip', ['-o', 'link'])).stdout.split('\n').map((line) => line.split(': ')[1])
  const tables = (await runCommand('nft', ['list', 'tables'])).stdout
  const routes = (await runCommand('ip', ['route'])).stdout
  const forward = (await runCommand('cat', ['/proc/sys/net/ipv4/ip_forward'])).stdout
  const files = existsSync('/etc/netns') ? readdirSync('/etc/netns').filter((name) => name.startsWith(prefix)) : []
  return { netns, links, tables, routes, forward, files }
}

describe.skipIf(labObstacle !== null)('a lab in the kernel', () => {
  let lab: TestLab
  let startMs = 0
  beforeAll(async () => {
    const begun = performance.now()
    lab = await startLab({ manifests })
    startMs = performance.now() - begun
  })
  afterAll(() => lab?.stop())

  it('is up in less than three seconds', () => {
    expect(lab.pods).toHaveLength(5)
    expect(startMs).toBeLessThan(3000)
  })

  it('joins pods across nodes, on TCP and UDP', async () => {
    for (const { name } of lab.pods.filter((pod) => pod.workload.name === 'web')) {
      expect(await lab.probe('shop/client', `shop/${name}:8080`)).toMatchObject({ ok: true, error: null })
      expect(await lab.probe('shop/client', `shop/${name}:9999`, { protocol: 'udp' })).toMatchObject({ ok: true })
      expect(await lab.probe('shop/client', `shop/${name}:81`)).toMatchObject({ ok: false, error: 'refused' })
    }
  })

  it('translates services to pods in turn, by name and from a node too', async () => {
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => lab.exec('shop/client', 'curl', '-s', '-m3', 'http://web')),
    )
    const names = lab.pods.filter((pod) => pod.workload.name === 'web').map(({ name }) => name)
    expect(new Set(answers.map(({ stdout }) => stdout.trim()))).toEqual(new Set(names))
    expect(await lab.probe('shop/client', 'shop/web:9999', { protocol: 'udp' })).toMatchObject({ ok: true })
    expect(await lab.probe('shop/agent', 'shop/web:80')).toMatchObject({ ok: true })
    // A pod may reach itself through its own service: it is chosen every other time.
    for (let i = 0; i < 2; i++) expect(await lab.probe('shop/web', 'shop/web:80')).toMatchObject({ ok: true })
  })

  it('opens node ports on every node, and refuses a service address that nobody serves', async () => {
    // Every pair of the node that is asked and the node of the pod that is chosen.
    for (const { ip } of [...lab.nodes, ...lab.nodes])
      expect(await lab.probe('shop/client', `${ip}:30080`)).toMatchObject({ ok: true })
    const { stdout } = await runCommand('ip', [
      ...['netns', 'exec', `${lab.id}-internet`, 'curl', '-s', '-m3', '-o', '/dev/null'],
      ...['-w', '%{http_code}', `http://${lab.nodes[0]?.ip}:30080`],
    ])
    expect(stdout).toBe('200')
    expect(await lab.probe('shop/client', '10.96.77.77:80')).toMatchObject({ ok: false, error: 'refused' })
  })

  it('lets machines outside call, each from its own address', async () => {
    const node = lab.nodes[0]
    const nft = (...args: string[]) => runCommand('ip', ['netns', 'exec', node?.netns as string, 'nft', ...args])
    await nft('add table ip seen')
    await nft('add chain ip seen input { type filter hook prerouting priority -400; }')
    for (const { address } of lab.plan.internet.hosts.slice(0, 2)) {
      await nft(`add rule ip seen input ip saddr ${address} counter`)
      expect(await lab.probe(`internet/${address}`, `${node?.ip}:30080`)).toMatchObject({ ok: true })
      expect(await lab.probe(`internet/${address}`, `${node?.ip}:22`)).toMatchObject({ ok: true })
    }
    const { stdout } = await nft('list', 'table', 'ip', 'seen')
    expect([...stdout.matchAll(/packets (\d+)/g)].map(([, count]) => Number(count) > 4)).toEqual([true, true])
    await nft('delete table ip seen')
  })

  it('resolves names over the wire, and reaches the outside world and nothing else', async () => {
    expect(await lab.probe('shop/client', 'www.google.com:443')).toMatchObject({ ok: true })
    expect(await lab.probe('shop/client', 'api.twilio.com:443')).toMatchObject({
      ok: true,
      address: expect.stringMatching(/^198\.51\.100\.1[01]$/),
    })
    expect(await lab.probe('shop/client', 'large.example.com:80')).toMatchObject({ ok: true })
    expect(await lab.probe('shop/client', 'www.google.com:25')).toMatchObject({ ok: false, error: 'refused' })
    expect(await lab.probe('shop/client', 'nowhere.example:80')).toMatchObject({ ok: false, address: null })
    expect(await lab.probe('shop/client', '198.51.100.99:80', { timeoutMs: 300 })).toMatchObject({ error: 'timed out' })
  })

  it('has IPv6 beside IPv4: on one node, between nodes, and to nodes; nowhere else', async () => {
    const web = lab.pod('shop/web')
    for (const pod of lab.pods.filter(({ hostNetwork, servesDns }) => !hostNetwork && !servesDns)) {
      const source = `${pod.namespace}/${pod.name}`
      const contact = await lab.probe(source, `[${web.ip6}]:${web.ports[0]?.port}`)
      expect(contact, source).toMatchObject({ ok: true, address: web.ip6 })
      for (const { ip6 } of lab.nodes) expect(await lab.probe(source, `[${ip6}]:22`)).toMatchObject({ ok: true })
    }
    expect(await lab.probe('shop/client', `[${web.ip6}]:81`)).toMatchObject({ ok: false, error: 'refused' })
    expect(await lab.probe('shop/client', '[fd00:10:244:1::ee]:80', { timeoutMs: 300 })).toMatchObject({ ok: false })
    expect(await lab.probe('shop/client', '[2001:db8::1]:80', { timeoutMs: 300 })).toMatchObject({ ok: false })
  })

  it('answers a probe of the name server over UDP, as any name server does', async () => {
    const server = `${lab.plan.nameServerIp}:53`
    expect(await lab.probe('shop/client', server, { protocol: 'udp' })).toMatchObject({ ok: true })
  })

  it('gives programs in a pod its network and its resolv.conf', async () => {
    const getent = await lab.exec('shop/client', 'getent', 'ahostsv4', 'web.shop')
    expect(getent.stdout).toContain(lab.plan.services.find(({ name }) => name === 'web')?.clusterIp)
    const google = await lab.exec(
      'shop/client',
      'curl',
      '-s',
      '-m3',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      'http://www.google.com',
    )
    expect([google.code, google.stdout]).toEqual([0, '200'])
    const failing = await lab.exec(
      'shop/web',
      'curl',
      '-s',
      '-m3',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      `http://${lab.pod('shop/client').ip}`,
    )
    expect(failing.stdout).toBe('503')
    expect((await lab.exec('shop/client', 'curl', '-s', '-m1', `http://${lab.pod('shop/web').ip}:81`)).code).toBe(7)
  })

  it('speaks TLS to clients that do not ask who it is', async () => {
    const { code, stdout } = await lab.exec('shop/client', 'curl', '-skI', '-m3', 'https://api.twilio.com')
    expect([code, stdout.split('\r\n')[0]]).toEqual([0, 'HTTP/1.1 200 OK'])
  })

  it('has nodes that listen as nodes do', async () => {
    for (const { ip } of lab.nodes) {
      expect(await lab.probe('shop/client', `${ip}:22`)).toMatchObject({ ok: true })
      expect(await lab.probe('shop/client', `${ip}:10250`)).toMatchObject({ ok: true })
    }
    expect(await lab.probe('shop/client', `${lab.pod('shop/agent').ip}:9100`)).toMatchObject({ ok: true })
  })

  it('lets pods come and go while the others stay', async () => {
    const late = `
apiVersion: v1
kind: Pod
metadata: {name: late, namespace: shop, labels: {app: web}}
spec: {containers: [{name: late, image: x, ports: [{containerPort: 8080}]}]}
`
    const before = lab.pods
    expect((await lab.add(late)).results).toEqual(['pod shop/late added'])
    expect(lab.pods.slice(0, before.length)).toEqual(before)
    expect(await lab.probe('shop/client', 'shop/late:8080')).toMatchObject({ ok: true })
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => lab.exec('shop/client', 'curl', '-s', '-m3', 'http://web')),
    )
    expect(answers.map(({ stdout }) => stdout.trim())).toContain('late')
    const { ip, netns } = lab.pod('shop/late')
    expect((await lab.remove(late)).results).toEqual(['pod shop/late removed'])
    expect(await lab.probe('shop/client', `${ip}:8080`, { timeoutMs: 300 })).toMatchObject({ ok: false })
    expect(existsSync(`/run/netns/${netns}`)).toBe(false)
    for (let i = 0; i < 4; i++) expect(await lab.probe('shop/client', 'shop/web:80')).toMatchObject({ ok: true })
  })

  it('runs beside another lab, but not beside one of the same id', async () => {
    const other = await startLab({ manifests, nodes: 1 })
    try {
      expect(await other.probe('shop/client', 'shop/web:80')).toMatchObject({ ok: true })
      expect(await lab.probe('shop/client', 'shop/web:80')).toMatchObject({ ok: true })
      await expect(startLab({ manifests, id: other.id })).rejects.toThrow(/id .* runs on this machine/)
      expect(await other.probe('shop/client', 'shop/web:80')).toMatchObject({ ok: true })
    } finally {
      await other.stop()
    }
  })
})

describe.skipIf(labObstacle !== null)('a lab that ends', () => {
  it('leaves the machine as it was', async () => {
    const id = 'tend0'
    const before = await machine(id)
    const lab = await startLab({ manifests, id, calls: true })
    const during = await machine(id)
    expect(during.netns).toHaveLength(8)
    expect({ ...during, netns: [], files: [] }).toEqual({ ...before, netns: [], files: [] })
    await lab.stop()
    expect(await machine(id)).toEqual(before)
  })

  it('is cleaned up by the next start when it was killed, even if its folder is gone', async () => {
    const id = 'tkil0'
    const before = await machine(id)
    const runDir = mkdtempSync(join(tmpdir(), 'margay-lab-'))
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--conditions=source',
        fileURLToPath(new URL('stranded-lab.ts', import.meta.url)),
        id,
        runDir,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (text) => String(text).includes('up') && resolve())
      child.on('exit', (code) => reject(new Error(`the lab ended with ${code}`)))
    })
    child.removeAllListeners('exit')
    const dead = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await dead
    expect((await machine(id)).netns).not.toEqual([])
    rmSync(runDir, { recursive: true })

    const lab = await startLab({ manifests: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: empty}\n', id })
    expect((await machine(id)).netns).toHaveLength(5)
    await lab.stop()
    expect(await machine(id)).toEqual(before)
  })
})
