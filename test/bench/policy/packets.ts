import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Resource } from '@margay/schemas'
import { createTestNode } from '../../../services/agent/test/node.ts'
import { median } from '../cpu.ts'
import { createBenchAgent } from './agent.ts'
import { must } from './netns.ts'
import { measuredNode, policy, shape } from './shape.ts'

/** What packets of a pod cost on their way to another pod of the node, CPU nanoseconds of the sender's side. */
export interface PacketFigures {
  readonly established_ns: Readonly<Record<Variant, number>>
  readonly connection_ns: Readonly<Record<Variant, number>>
  /** Established packets under policy against connection tracking alone. */
  readonly established_ratio: number
  /** TCP connect and close under policy against no policy at all. */
  readonly connection_ratio: number
}

const variants = ['none', 'conntrack', 'allow-all', 'policies'] as const
/** No rules at all; rules that only track connections; Margay with pods that no policy selects; with 1,000 policies, 50 on each pod. */
export type Variant = (typeof variants)[number]

const port = 9000
const run = promisify(execFile)

/** Two pods on one node; all variants by turns in each round. */
export async function measurePackets(options: {
  readonly rounds: number
  readonly packets: number
  readonly connections: number
}): Promise<PacketFigures> {
  const node = createTestNode(2)
  const [from, to] = node.pods as [(typeof node.pods)[0], (typeof node.pods)[0]]
  const traffic = (netns: string, ...args: string[]) =>
    [
      'netns',
      'exec',
      netns,
      process.execPath,
      '--import',
      'tsx',
      fileURLToPath(new URL('../../../services/agent/test/plain-traffic.ts', import.meta.url)),
      ...args,
    ] as const
  must(['ip', 'netns', 'exec', from.netns, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65000'])
  const servers = ['accept', 'echo'].map((verb) =>
    spawn('ip', traffic(to.netns, verb, `${port}`), { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  try {
    for (const { stdout } of servers) await once(stdout, 'data')
    const measured = async (verb: string, count: number) =>
      Number((await run('ip', traffic(from.netns, verb, to.ip, `${port}`, `${count}`))).stdout)
    const established = new Map<Variant, number[]>(variants.map((v) => [v, []]))
    const connection = new Map<Variant, number[]>(variants.map((v) => [v, []]))
    for (let round = 0; round < options.rounds; round += 1)
      for (const variant of round % 2 === 0 ? variants : [...variants].reverse()) {
        // Entries of the variant before are out of date where nothing was tracked since, and a reused port would meet them.
        node.run('conntrack', '-F')
        const leave = await enter(variant, node)
        established.get(variant)?.push(await measured('packets', options.packets))
        connection.get(variant)?.push(await measured('connections', options.connections))
        await leave()
      }
    const medians = (of: Map<Variant, number[]>) =>
      Object.fromEntries([...of].map(([v, list]) => [v, Math.round(median(list))])) as Record<Variant, number>
    const established_ns = medians(established)
    const connection_ns = medians(connection)
    const ratio = (a: number, b: number) => Number((a / b).toFixed(2))
    return {
      established_ns,
      connection_ns,
      established_ratio: ratio(established_ns.policies, established_ns.conntrack),
      connection_ratio: ratio(connection_ns.policies, connection_ns.none),
    }
  } finally {
    for (const server of servers) server.kill('SIGKILL')
    node.remove()
  }
}

const tracking = `add table inet tracking
add chain inet tracking forward { type filter hook forward priority 0; }
add rule inet tracking forward ct state established,related accept
`

/** Puts the node under a variant's rules; returns how to take them away. */
async function enter(variant: Variant, node: ReturnType<typeof createTestNode>): Promise<() => Promise<void>> {
  if (variant === 'none') return async () => {}
  if (variant === 'conntrack') {
    must(['ip', 'netns', 'exec', node.netns, 'nft', '-f', '-'], tracking)
    return async () => void node.run('nft', 'delete', 'table', 'inet', 'tracking')
  }
  const agent = createBenchAgent(node.netns)
  await agent.put([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: {} } },
    ...node.pods.map(
      ({ ip }, index): Resource => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `pod-${index}`, namespace: 'default', labels: { group: 'g0', app: `a${index}` } },
        spec: { nodeName: measuredNode, containers: [{ name: 'main', image: 'none' }] },
        status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
      }),
    ),
    ...(variant === 'policies' ? policies() : []),
  ])
  await agent.start()
  await agent.agent.programmer.settled()
  return () => agent.stop()
}

/** 1,000 policies, 50 of them on the pods; the last of these is the one that allows. */
function policies(): Resource[] {
  const wide = { ...shape(1000, 2), groups: 20 }
  const rules = ['TCP', 'UDP'].map((protocol) => ({ action: 'Allow', protocol, destination: { ports: [port] } }))
  const last: Resource = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'last' },
    spec: {
      tier: 'default',
      order: 5000,
      selector: "group == 'g0'",
      types: ['Ingress', 'Egress'],
      ingress: rules,
      egress: rules,
    },
  }
  return [...Array.from({ length: 980 + 19 }, (_, index) => policy(wide, index + 1)), last]
}
