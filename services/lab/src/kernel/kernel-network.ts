import { join } from 'node:path'
import type { Reporter } from '@margay/kit/reporter'
import { resolvConf, type Zone, zoneOf } from '../dns/zone.ts'
import { type LabPlan, type LabPod, podKey } from '../manifests/plan.ts'
import type { LabNetwork } from '../network.ts'
import { createDialer } from './dialer.ts'
import { createJournal, writeResolvConf } from './journal.ts'
import { lockId } from './lock.ts'
import { serveDns } from './name-server.ts'
import { createNamespaces } from './namespaces.ts'
import { natRules } from './nat.ts'
import { outsideLines, outsidePorts, outsideRules } from './outside.ts'
import { eachOf, ipBatch, loadRules } from './program.ts'
import { createResolver } from './resolver.ts'
import { createServers } from './servers.ts'
import {
  endSettings,
  groundNetns,
  groundSteps,
  internetOf,
  podRemoval,
  podSteps,
  routerSettings,
  type Step,
} from './topology.ts'

/** Ports on which every node listens, as real nodes do: ssh and the kubelet. */
const nodePorts = [22, 10_250].map((port) => ({ name: null, protocol: 'TCP' as const, port }))
/** Programs run side by side; more only queue for the kernel's lock on network devices. */
const width = 4

/**
 * The lab in the kernel: network namespaces joined by veths, service translation by nftables, and one process (this one)
 * that holds every pod's sockets. Needs root.
 */
export function createKernelNetwork(
  config: { readonly id: string; readonly runDir: string },
  deps: { readonly reporter: Reporter },
): LabNetwork {
  const { id, runDir } = config
  const { reporter } = deps
  const journal = createJournal(join(runDir, `lab-${id}.json`), id)
  const namespaces = createNamespaces()
  const servers = createServers({ namespaces, reporter })
  const nameServers = new Map<string, () => void>()
  const chains = new Map<string, string[]>()
  let plan: LabPlan | undefined
  let zone: Zone = { records: new Map(), tcpOnly: new Set() }
  let unlock: (() => Promise<void>) | undefined
  const pods = reporter.gauge('pods', 'pods that the lab runs')
  const resolver = createResolver(
    { timeoutMs: 1000 },
    { namespaces, server: () => plan?.nameServerIp ?? '', random: Math.random },
  )
  const dial = createDialer({ namespaces, resolver, clock: () => performance.now() })

  const runSteps = (steps: readonly Step[]) => eachOf(steps, width, ({ netns, lines }) => ipBatch(netns, lines))
  const nodeNetns = (next: LabPlan, pod: LabPod) => next.nodes.find(({ name }) => name === pod.node)?.netns as string

  /** Makes namespaces, each with the resolv.conf of the Kubernetes namespace whose short names it uses. */
  async function makeNetns(next: LabPlan, made: readonly { netns: string; namespace: string }[]): Promise<void> {
    journal.record(made.map(({ netns }) => netns))
    for (const { netns, namespace } of made) writeResolvConf(id, netns, resolvConf(namespace, next.nameServerIp))
    await ipBatch(
      null,
      made.map(({ netns }) => `netns add ${netns}`),
    )
  }

  function openPod(pod: LabPod): void {
    const ports = pod.servesDns ? pod.ports.filter(({ port }) => port !== 53) : pod.ports
    servers.open(podKey(pod), pod.netns, ports, { name: pod.name, status: pod.httpStatus }, pod.ip6 !== null)
    if (pod.servesDns)
      nameServers.set(
        podKey(pod),
        serveDns(pod.netns, () => zone, { namespaces, reporter }),
      )
  }

  function closePod(pod: LabPod): void {
    servers.close(podKey(pod))
    nameServers.get(podKey(pod))?.()
    nameServers.delete(podKey(pod))
    if (!pod.hostNetwork) namespaces.close(pod.netns)
  }

  async function translate(next: LabPlan): Promise<void> {
    for (const node of next.nodes) {
      const made = natRules(next, chains.get(node.name) ?? [])
      await loadRules(node.netns, made.rules)
      chains.set(node.name, made.chains)
    }
  }

  async function ground(next: LabPlan): Promise<void> {
    const around = groundNetns(next)
    await makeNetns(
      next,
      around.map((netns) => ({ netns, namespace: 'default' })),
    )
    // The outside world has IPv4 only.
    const hasIpv6 = next.nodes.some(({ ip6 }) => ip6 !== null)
    for (const netns of around)
      namespaces.configure(netns, netns === internetOf(id) ? endSettings(false) : routerSettings(hasIpv6))
    const [fabric, ...rest] = groundSteps(next)
    await runSteps([fabric as Step])
    await runSteps(rest)
    for (const { netns, name } of next.nodes) servers.open(name, netns, nodePorts, { name, status: 200 })
  }

  async function attach(next: LabPlan, fresh: readonly LabPod[]): Promise<void> {
    const ends = fresh.filter(({ hostNetwork }) => !hostNetwork)
    await makeNetns(next, ends)
    for (const { netns, ip6 } of ends) namespaces.configure(netns, endSettings(ip6 !== null))
    const steps = ends.map((pod) => podSteps(pod, nodeNetns(next, pod)))
    const atNodes = next.nodes.map(({ netns }) => ({
      netns,
      lines: steps.filter(([at]) => at.netns === netns).flatMap(([at]) => at.lines),
    }))
    await runSteps(atNodes)
    await runSteps(steps.map(([, atPod]) => atPod))
    for (const pod of fresh) openPod(pod)
  }

  async function detach(gone: readonly LabPod[]): Promise<void> {
    for (const pod of gone) closePod(pod)
    const ends = gone.filter(({ hostNetwork }) => !hostNetwork)
    for (const pod of ends) {
      // The device goes at once; the namespace may live on while a program that a user runs holds it.
      // A pod that did not come up has perhaps no device: then there is nothing to do.
      if (plan !== undefined) await ipBatch(nodeNetns(plan, pod), podRemoval(pod)).catch(() => {})
    }
    await journal.remove(ends.map(({ netns }) => netns))
  }

  /** The outside world has one listener for each port; its rules refuse what a host does not answer. */
  async function openOutside(next: LabPlan): Promise<void> {
    const netns = internetOf(id)
    const before = plan?.internet ?? { names: [], hosts: [] }
    if (JSON.stringify(before.hosts) === JSON.stringify(next.internet.hosts)) return
    servers.close(netns)
    await ipBatch(netns, outsideLines(before, next.internet))
    await loadRules(netns, outsideRules(next.internet))
    servers.open(netns, netns, outsidePorts(next.internet), { name: 'internet', status: 200 })
  }

  return {
    name: 'kernel network',
    mode: 'kernel',
    async start() {
      unlock = await lockId(id)
      await journal.sweep()
    },
    async update(next) {
      const before = new Map((plan?.pods ?? []).map((pod) => [podKey(pod), pod]))
      const after = new Map(next.pods.map((pod) => [podKey(pod), pod]))
      const gone = [...before.values()].filter((pod) => !isSame(pod, after.get(podKey(pod))))
      const fresh = next.pods.filter((pod) => !isSame(pod, before.get(podKey(pod))))
      if (plan === undefined) await ground(next)
      await detach(gone)
      await openOutside(next)
      plan = { ...next, pods: next.pods.filter((pod) => !fresh.includes(pod)) }
      zone = zoneOf(next)
      try {
        await attach(next, fresh)
        await translate(next)
      } catch (error) {
        // The pods that did not come up whole are taken away: what is there is what the plan says.
        await detach(fresh)
        throw error
      }
      plan = next
      pods.set(next.pods.length)
    },
    connect: (caller, target) => dial(caller, target),
    async stop() {
      for (const end of nameServers.values()) end()
      nameServers.clear()
      servers.closeAll()
      namespaces.closeAll()
      if (unlock === undefined) return
      await journal.sweep()
      await unlock()
    },
    health: () => (plan === undefined ? { state: 'down', reason: 'the topology is not up' } : { state: 'ok' }),
  }
}

/** True when two pods need the same network, sockets and answers. */
function isSame(a: LabPod, b: LabPod | undefined): boolean {
  return (
    b !== undefined &&
    a.ip === b.ip &&
    a.netns === b.netns &&
    a.node === b.node &&
    a.httpStatus === b.httpStatus &&
    a.servesDns === b.servesDns &&
    JSON.stringify(a.ports) === JSON.stringify(b.ports)
  )
}
