import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { keyOf, type Resource } from '@margay/schemas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestNode, type TestNode, type TestPod, whyNot } from '../node.ts'
import { outputOf, startTraffic } from '../probes.ts'
import { createRandom } from '../random-policies.ts'
import { createWorld } from '../truth/world.ts'
import type { AllowedReport, DeniedReport } from './sentinel.ts'

const reason = whyNot()
if (reason !== null) console.warn(`agent kill test skipped: ${reason}`)

const isNightly = process.env.MARGAY_NIGHTLY === '1'
const kills = isNightly ? 1000 : 20
const port = 80
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Pods that the guarding policy is about; more follow, whose labels and policies change all the time. */
const roles = ['client', 'server', 'stranger'] as const

const calico = 'projectcalico.org/v3'
const tcpAndUdp = (rule: object) => ['TCP', 'UDP'].map((protocol) => ({ ...rule, protocol }))
/** The first tier: the client may talk to the server, the stranger may not, and nothing in later tiers has a say about it. */
const guard: readonly Resource[] = [
  { apiVersion: calico, kind: 'Tier', metadata: { name: 'guard' }, spec: { order: 0.5, defaultAction: 'Pass' } },
  {
    apiVersion: calico,
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'guard' },
    spec: {
      tier: 'guard',
      selector: 'has(guard)',
      types: ['Ingress', 'Egress'],
      ingress: [
        ...tcpAndUdp({ action: 'Allow', source: { selector: "guard == 'client'" }, destination: { ports: [port] } }),
        { action: 'Deny', source: { selector: "guard == 'stranger'" } },
      ],
      // What the stranger sends leaves it: the server's policy alone stands in the way.
      egress: [{ action: 'Allow', destination: { selector: "guard == 'server'" } }],
    },
  },
]

function guarded(pods: readonly TestPod[]): Resource[] {
  return roles.map((role, index) => {
    const { ip, ip6 } = pods[index] as TestPod
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: role, namespace: 'guarded', labels: { guard: role, app: 'a' } },
      spec: { nodeName: 'node1', containers: [{ name: 'main', image: 'main' }] },
      status: { phase: 'Running', podIP: ip, podIPs: [{ ip }, { ip: ip6 }] },
    }
  })
}

/** An agent whose policies change without a pause, from the moment it is told to start until it is killed. */
interface Churning {
  readonly child: ChildProcess
  start(seed: number): void
  /** Resolves when the kernel has its first policies, and when it was killed before. */
  readonly programmed: Promise<boolean>
}

describe.skipIf(reason !== null)(
  'an agent that is killed again and again',
  {
    timeout: isNightly ? 3_600_000 : 120_000,
  },
  () => {
    let node: TestNode
    const children: ChildProcess[] = []
    const podOf = (role: (typeof roles)[number]) => node.pods[roles.indexOf(role)] as TestPod

    beforeAll(() => {
      // The agent that is killed is the built one, as on a node: it starts in a fraction of the time that its sources take.
      const root = file('../../../..')
      execFileSync(join(root, 'node_modules/.bin/tsc'), ['-b', 'services/agent'], { cwd: root })
      node = createTestNode(6)
    })
    afterAll(() => {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
      node?.remove()
    })

    function startSentinel(role: 'client' | 'stranger', verb: 'allowed' | 'denied'): ChildProcess {
      const command = [process.execPath, '--import', 'tsx', file('sentinel.ts'), verb, podOf('server').ip, `${port}`]
      const child = spawn('ip', ['netns', 'exec', podOf(role).netns, ...command], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      children.push(child)
      return child
    }

    /** Loads an agent's code; it waits for the word. */
    async function load(): Promise<Churning> {
      const child = fork(file('churning-agent.mjs'), [node.netns, join(node.dir, 'dns-cache')], { execArgv: [] })
      children.push(child)
      await once(child, 'message')
      let changes: () => (Resource | { readonly key: string })[] = () => []
      return {
        child,
        start(seed) {
          const world = createWorld(createRandom(seed), node.pods.slice(roles.length), '10.77.0.', 'fd77::')
          changes = () => {
            const { changed, removed } = world.step()
            return [...changed, ...removed.map((resource) => ({ key: keyOf(resource) }))]
          }
          child.send([
            { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'guarded', labels: {} } },
            ...guarded(node.pods),
            ...guard,
            ...changes(),
          ])
        },
        programmed: new Promise((resolve, reject) => {
          child.on('message', () => {
            resolve(true)
            if (child.connected) child.send(changes(), () => {})
          })
          child.once('exit', (code) => {
            if (code === null) resolve(false)
            else reject(new Error(`the agent ended with ${code} by itself`))
          })
        }),
      }
    }

    async function kill({ child }: Churning): Promise<void> {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      children.splice(children.indexOf(child), 1)
    }

    test(`${kills} times opens nothing that is denied and breaks nothing that is allowed`, async () => {
      const random = createRandom(4711)
      const server = startTraffic(podOf('server'), 'serve', `${port}`)
      children.push(server)
      await once(server.stdout as NodeJS.ReadableStream, 'data')
      let running = await load()
      running.start(0)
      await running.programmed

      const allowed = startSentinel('client', 'allowed')
      const denied = startSentinel('stranger', 'denied')
      await Promise.all([allowed, denied].map(({ stdout }) => once(stdout as NodeJS.ReadableStream, 'data')))
      let programmed = 0
      // The next one loads its code while this one works: the node is without an agent for a moment only.
      let next = load()
      for (let count = 1; count <= kills; count += 1) {
        // Half of them die while they start, half while they bring changes into the kernel.
        if (count % 2 === 0) await running.programmed
        await setTimeout(random(250))
        await kill(running)
        if (await running.programmed) programmed += 1
        running = await next
        running.start(count)
        next = load()
      }
      await kill(running)
      await kill(await next)
      const told = [allowed, denied].map(outputOf)
      allowed.stdin?.end()
      denied.stdin?.end()
      const [forAllowed, forDenied] = (await Promise.all(told)).map((text) => JSON.parse(text)) as [
        AllowedReport,
        DeniedReport,
      ]
      expect(forDenied).toMatchObject({ opened: 0, answered: 0 })
      expect(forAllowed).toMatchObject({ broken: false, missing: 0, lostDatagrams: 0, failedConnections: 0 })
      // They must have tried, and agents must have got as far as to change rules.
      expect(forDenied.connections).toBeGreaterThan(kills * 5)
      expect(forAllowed.connections).toBeGreaterThan(kills * 2)
      expect(programmed).toBeGreaterThanOrEqual(kills / 2)
      console.info(JSON.stringify({ kills, programmed, allowed: forAllowed, denied: forDenied }))
    })
  },
)
