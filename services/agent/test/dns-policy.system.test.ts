import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createReporter } from '@margay/kit/reporter'
import type { DnsLookup, Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDnsPolicy, type DnsPolicy } from '../src/dns/dns-policy.ts'
import { dnsPolicySettings } from '../src/dns/settings.ts'
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
  const reporter = createReporter('agent', { level: 'silent' })
  const died: Error[] = []

  const at = (index: number) => node.pods[index] as TestPod
  const run = (netns: string, ...args: string[]) => {
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, traffic, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
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
    const made = createDnsPolicy(
      { netns: node.netns, cacheFile: join(node.dir, 'dns-cache'), uninstall: false },
      {
        settings: () => dnsPolicySettings(felix),
        services: () => ({ services: [service], endpointSlices: [] }),
        reporter: createReporter('agent', { level: 'silent' }),
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
    reporter.registry.clear()
  })

  test('answers are held on this kernel', async () => {
    expect(await policy.look()).toMatchObject({ mode: 'delayed', reason: null })
    expect(policy.health?.()).toEqual({ state: 'ok' })
  })

  test(`${pairs} names are looked up, and the first packet to each answer passes`, { timeout: 300_000 }, async () => {
    const result = await tryPairs({ server: '10.96.0.10', count: pairs, first: 0 })
    console.log(`pairs: ${JSON.stringify(result)}`)
    expect(result).toMatchObject({ count: pairs, lost: 0 })
  })
})
