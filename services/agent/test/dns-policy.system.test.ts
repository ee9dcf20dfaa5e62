import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import readline from 'node:readline'
import { createReporter } from '@margay/kit/reporter'
import type { DnsLookup, Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDnsPolicy, type DnsPolicy } from '../src/dns/dns-policy.ts'
import { dnsPolicySettings } from '../src/dns/settings.ts'
import { createGenerationReader } from '../src/nftables/generation.ts'
import { createTestNode, type TestNode, type TestPod, whyNot } from './node.ts'
import { outputOf } from './probes.ts'

const reason = whyNot()
if (reason !== null) console.warn(`DNS policy system test skipped: ${reason}`)
const traffic = new URL('./dns-traffic.mjs', import.meta.url).pathname
/** The nightly run tries more, and nothing else. */
const pairs = process.env.MARGAY_NIGHTLY ? 10_000 : 1500

const sets = [
  { name: 'd4-allowed', family: 4, patterns: ['*.allowed.example'] },
  { name: 'd6-allowed', family: 6, patterns: ['*.allowed.example'] },
] as const

/** Policy as the renderer writes it, cut down: pods may ask DNS servers, and send to the addresses of allowed names. */
const policyTable = `
table inet margay {
  set d4-allowed { type ipv4_addr; }
  set d6-allowed { type ipv6_addr; }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    icmpv6 type { 133, 134, 135, 136 } accept
    meta l4proto { tcp, udp } th dport 53 accept
    ip daddr @d4-allowed accept
    ip6 daddr @d6-allowed accept
    iifname "cali*" counter drop
  }
}
`

describe.skipIf(reason !== null)('DNS policy in a real kernel', { timeout: 60_000 }, () => {
  let node: TestNode
  let policy: DnsPolicy
  const children: ChildProcess[] = []
  const felix: Record<string, unknown> = {}
  const lookups: { lookup: DnsLookup; isTrusted: boolean }[] = []
  let metrics = createReporter('agent', { level: 'silent' })
  const died: Error[] = []

  const at = (index: number) => node.pods[index] as TestPod
  const run = (netns: string, ...args: string[]) => {
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, traffic, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    return child
  }
  async function serve(netns: string, ...args: string[]): Promise<void> {
    const child = run(netns, ...args)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }
  const tryPairs = async (options: {
    server: string
    domain?: string
    count: number
    first: number
    transport?: 'udp' | 'tcp'
    family?: 4 | 6
  }) => {
    const { server, domain = 'ttl1.allowed.example', count, first, transport = 'udp', family = 4 } = options
    const child = run(at(0).netns, 'pairs', server, domain, `${count}`, `${first}`, '9', transport, `${family}`)
    return JSON.parse(await outputOf(child)) as {
      count: number
      lost: number
      some: string[]
      p50: number
      p99: number
    }
  }
  const lookUp = async (server: string, name: string, type = 'A', transport = 'udp') =>
    JSON.parse(await outputOf(run(at(0).netns, 'lookup', server, name, type, transport))) as string[]
  const members = (set: string) =>
    [...node.run('nft', 'list', 'set', 'inet', 'margay', set).matchAll(/[\d.]+\.\d+|fd90::[\da-f]*/g)].map(([ip]) => ip)

  async function startPolicy(): Promise<DnsPolicy> {
    metrics = createReporter('agent', { level: 'silent' })
    const made = createDnsPolicy(
      { netns: node.netns, cacheFile: join(node.dir, 'dns-cache'), uninstall: false },
      {
        settings: () => dnsPolicySettings(felix),
        services: () => ({ services: [service], endpointSlices: [] }),
        reporter: metrics,
        died: (error) => void died.push(error),
        now: Date.now,
      },
    )
    made.onLookup((lookup, isTrusted) => void lookups.push({ lookup, isTrusted }))
    await made.start?.()
    await made.fill(sets)
    return made
  }
  /** Behind it, by DNAT, is the name server's pod. */
  const service: Resource = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system' },
    spec: { clusterIP: '10.96.0.10', ports: [{ port: 53 }] },
  }

  beforeAll(async () => {
    node = createTestNode(3)
    spawnSync('ip', ['netns', 'exec', node.netns, 'nft', '-f', '-'], { input: policyTable })
    const nat = `table ip nat { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.10 dnat to ${at(1).ip}; }; }`
    expect(spawnSync('ip', ['netns', 'exec', node.netns, 'nft', '-f', '-'], { input: nat }).status).toBe(0)
    // The machine outside has every address that the name server ever tells.
    for (const [net, via] of [
      ['10.90.0.0/16', node.outside.ip],
      ['fd90::/64', node.outside.ip6],
    ]) {
      node.run('ip', 'route', 'add', net as string, 'via', via as string)
      spawnSync('ip', ['-n', node.outside.netns, 'route', 'add', 'local', net as string, 'dev', 'lo'])
    }
    felix.dnsTrustedServers = ['k8s-service:kube-dns', `[${at(1).ip6}]`, '169.254.20.10']
    await Promise.all([
      serve(at(1).netns, 'serve'),
      serve(at(2).netns, 'serve'),
      serve(node.outside.netns, 'echo', '9'),
    ])
    policy = await startPolicy()
  })
  afterAll(async () => {
    for (const child of children) child.kill()
    await policy?.stop?.()
    node?.remove()
  })

  const dropped = () =>
    Number(/counter packets (\d+)/.exec(node.run('nft', 'list', 'chain', 'inet', 'margay', 'forward'))?.[1])
  /** Waits until something holds; the thread looks after what ended, and what was changed, once a second. */
  async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let i = 0; i < 100 && !(await holds()); i += 1) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await holds()).toBe(true)
  }
  const metric = async (name: string) => {
    const values = (await metrics.registry.getSingleMetric(`margay_agent_${name}`)?.get())?.values ?? []
    return values.reduce((sum, { value }) => sum + value, 0)
  }

  test('answers are held on this kernel', async () => {
    expect(await policy.look()).toMatchObject({ mode: 'delayed', reason: null })
    expect(policy.health?.()).toEqual({ state: 'ok' })
  })

  test(`${pairs} names are looked up, and the first packet to each answer passes`, { timeout: 300_000 }, async () => {
    const before = dropped()
    const cpu = process.cpuUsage()
    const result = await tryPairs({ server: '10.96.0.10', count: pairs, first: 0 })
    const { user, system } = process.cpuUsage(cpu)
    console.log(`pairs: ${JSON.stringify(result)}, ${Math.round((user + system) / pairs)} us of CPU for each`)
    expect(result).toMatchObject({ count: pairs, lost: 0 })
    expect(dropped()).toBe(before)
    expect(lookups.filter(({ isTrusted }) => isTrusted).length).toBeGreaterThanOrEqual(pairs)
  })

  test('so it is over TCP, over IPv6, and for three at once', async () => {
    const results = await Promise.all([
      tryPairs({ server: '10.96.0.10', count: 50, first: 20_000, transport: 'tcp' }),
      tryPairs({ server: at(1).ip6, count: 200, first: 20_100, family: 6 }),
      tryPairs({ server: '10.96.0.10', count: 200, first: 20_400 }),
    ])
    expect(results.map(({ count, lost, some }) => ({ count, lost, some }))).toEqual([
      { count: 50, lost: 0, some: [] },
      { count: 200, lost: 0, some: [] },
      { count: 200, lost: 0, some: [] },
    ])
  })

  test('an address ends with its record, names that no rule means give none, and neither does a stranger', async () => {
    await lookUp('10.96.0.10', '21000.ttl1.allowed.example')
    expect(members('d4-allowed')).toContain('10.90.82.8')
    await lookUp('10.96.0.10', '21001.ttl60.denied.example')
    const told = lookups.length
    // The same names from a server that nobody trusts: the answer arrives, is logged, and opens nothing.
    expect(await lookUp(at(2).ip, '21002.ttl60.allowed.example')).toEqual(['10.90.82.10'])
    await until(() => lookups.length > told)
    expect(lookups.at(-1)).toMatchObject({ isTrusted: false, lookup: { client: at(0).ip, server: at(2).ip } })
    for (const ip of ['10.90.82.9', '10.90.82.10']) expect(members('d4-allowed')).not.toContain(ip)
    expect(policy.names.all('10.90.82.9')).toEqual(['21001.ttl60.denied.example'])
    expect(policy.names.all('10.90.82.10')).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 10_500))
    await until(() => !members('d4-allowed').includes('10.90.82.8'))
    expect(policy.names.all('10.90.82.8')).toEqual([])
  })

  test('an answer in many TCP segments is known before it is whole, a truncated one gives what it holds', async () => {
    expect(await lookUp('10.96.0.10', 'large.allowed.example')).toHaveLength(20)
    expect(members('d4-allowed').filter((ip) => ip.startsWith('10.90.200.'))).toHaveLength(20)
    expect(await lookUp('10.96.0.10', 'large.allowed.example', 'A', 'tcp')).toHaveLength(200)
    expect(members('d4-allowed').filter((ip) => ip.startsWith('10.90.200.'))).toHaveLength(200)
  })

  test('a response that lies about itself is let go, counted, and teaches nothing', async () => {
    expect(await lookUp('10.96.0.10', 'junk.allowed.example')).toEqual([])
    await until(async () => {
      const { values = [] } = (await metrics.registry.getSingleMetric('margay_agent_dns_packets_total')?.get()) ?? {}
      return values.some(({ labels, value }) => labels.result === 'malformed' && value > 0)
    })
    expect(died).toEqual([])
  })

  test('a cache on the node, whose connections are not tracked, is trusted when it is listed', async () => {
    node.run('ip', 'addr', 'add', '169.254.20.10/32', 'dev', 'lo')
    const rules = `table ip raw {
      chain pre { type filter hook prerouting priority -300; ip daddr 169.254.20.10 notrack; }
      chain out { type filter hook output priority -300; ip saddr 169.254.20.10 notrack; }
    }`
    spawnSync('ip', ['netns', 'exec', node.netns, 'nft', '-f', '-'], { input: rules })
    await serve(node.netns, 'serve', '169.254.20.10')
    const results = await Promise.all([
      tryPairs({ server: '169.254.20.10', count: 100, first: 22_000 }),
      tryPairs({ server: '169.254.20.10', count: 20, first: 22_200, transport: 'tcp' }),
    ])
    node.run('nft', 'delete', 'table', 'ip', 'raw')
    // And tracked, as when it runs as an ordinary process of the node.
    results.push(await tryPairs({ server: '169.254.20.10', count: 50, first: 22_400 }))
    expect(results.map(({ count, lost }) => ({ count, lost }))).toEqual([
      { count: 100, lost: 0 },
      { count: 20, lost: 0 },
      { count: 50, lost: 0 },
    ])
  })

  test('what the node itself looks up is known too', async () => {
    const child = run(node.netns, 'lookup', at(1).ip6, '22500.ttl60.allowed.example', 'A', 'udp')
    expect(JSON.parse(await outputOf(child))).toEqual(['10.90.87.228'])
    expect(members('d4-allowed')).toContain('10.90.87.228')
  })

  test('somebody takes the table away: it is written again', async () => {
    const before = await metric('dns_repairs_total')
    node.run('nft', 'delete', 'table', 'inet', 'margay-dns')
    await until(async () => (await metric('dns_repairs_total')) > before)
    expect(await tryPairs({ server: '10.96.0.10', count: 20, first: 23_000 })).toMatchObject({ lost: 0 })
  })

  test('a change of its own is no change of others', () => {
    const reader = createGenerationReader(node.netns)
    const before = policy.foreign(reader.read)
    spawnSync('ip', [
      'netns',
      'exec',
      at(0).netns,
      process.execPath,
      traffic,
      'pairs',
      '10.96.0.10',
      'ttl1.allowed.example',
      '20',
      '23100',
      '9',
      'udp',
      '4',
    ])
    expect(policy.foreign(reader.read)).toBe(before)
    node.run('nft', 'add', 'table', 'inet', 'stranger')
    expect(policy.foreign(reader.read)).toBe(before + 1)
    node.run('nft', 'delete', 'table', 'inet', 'stranger')
    reader.close()
  })

  test('a frozen agent keeps a bounded number of answers and no more; a killed one none', async () => {
    await policy.stop?.()
    const host = new URL('./dns-policy-process.ts', import.meta.url).pathname
    const agent = spawn(
      process.execPath,
      [
        '--conditions=source',
        '--import',
        'tsx',
        host,
        node.netns,
        node.dir,
        JSON.stringify({ ...felix, dnsPacketsNfqueueSize: 20 }),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    children.push(agent)
    await once(agent.stdout as NodeJS.ReadableStream, 'data')
    agent.kill('SIGSTOP')
    const frozen = run(at(0).netns, 'burst', '10.96.0.10', 'ttl60.allowed.example', '50', '23500')
    const lines = readline.createInterface({ input: frozen.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('30')
    agent.kill('SIGCONT')
    await until(async () => {
      frozen.stdin?.write('\n')
      return (await lines.next()).value === '50'
    })
    frozen.stdin?.end()
    agent.kill('SIGSTOP')
    agent.kill('SIGKILL')
    await once(agent, 'exit')
    expect(await lookUp('10.96.0.10', '23600.ttl60.allowed.example')).toHaveLength(1)
    // The first of the answers that were held was known when it was let go, and is still.
    expect(members('d4-allowed')).toContain('10.90.91.204')
    policy = await startPolicy()
  })

  test('no agent: answers pass, what was learned stays, and the next agent knows it', async () => {
    await lookUp('10.96.0.10', '24000.ttl600.allowed.example')
    await policy.stop?.()
    // Learned by nobody: it was in the kernel before, and the next agent finds it there.
    node.run('nft', 'add', 'element', 'inet', 'margay', 'd4-allowed', '{ 10.90.99.99 }')
    expect(await lookUp('10.96.0.10', '24001.ttl600.allowed.example')).toEqual(['10.90.93.193'])
    expect(members('d4-allowed')).toContain('10.90.93.192')
    expect(members('d4-allowed')).not.toContain('10.90.93.193')
    policy = await startPolicy()
    expect(members('d4-allowed')).toEqual(expect.arrayContaining(['10.90.93.192', '10.90.99.99']))
    expect(policy.names.all('10.90.93.192')).toEqual(['24000.ttl600.allowed.example'])
    // Sets that were emptied are filled again.
    node.run('nft', 'flush', 'set', 'inet', 'margay', 'd4-allowed')
    await policy.fill(sets)
    expect(members('d4-allowed')).toContain('10.90.93.192')
  })

  test('another epoch: everything learned is forgotten', async () => {
    felix.dnsCacheEpoch = 1
    policy.changed()
    await until(() => members('d4-allowed').length === 0)
    // The thread that holds the names tells this one a moment later.
    await until(() => policy.names.all('10.90.93.192').length === 0)
  })

  test('without delay answers are copied; without rules about domains nothing waits either', async () => {
    felix.dnsPolicyMode = 'NoDelay'
    policy.changed()
    await until(async () => (await policy.look()).mode === 'copied')
    expect(node.run('nft', 'list', 'chain', 'inet', 'margay-dns', 'responses')).toContain('margay-dns-trusted')
    await lookUp('10.96.0.10', '25000.ttl60.allowed.example')
    await until(() => members('d4-allowed').includes('10.90.97.168'))
    felix.dnsPolicyMode = 'DelayDeniedPacket'
    policy.changed()
    await until(async () => (await policy.look()).mode === 'delayed')
    expect(policy.health?.().reason).toMatch(/DelayDeniedPacket is done as DelayDNSResponse/)
    await policy.fill([])
    expect(node.run('nft', 'list', 'chain', 'inet', 'margay-dns', 'responses')).toContain('margay-dns-trusted')
    await policy.fill(sets)
    expect(node.run('nft', 'list', 'chain', 'inet', 'margay-dns', 'responses')).not.toContain('margay-dns-trusted')
    expect(members('d4-allowed')).toContain('10.90.97.168')
  })
})
