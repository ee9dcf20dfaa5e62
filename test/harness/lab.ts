import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createReporter } from '@margay/kit/reporter'
import { withCluster } from '@margay/lab/bundle'
import { createCallers } from '@margay/lab/callers'
import { createKernelNetwork } from '@margay/lab/kernel/kernel-network'
import { createLab, type LabChange } from '@margay/lab/lab'
import { type Document, parseDocuments, readDocuments } from '@margay/lab/manifests/documents'
import type { LabNode, LabPlan, LabPod } from '@margay/lab/manifests/plan'
import { publishedResources } from '@margay/lab/manifests/published'
import type { Contact } from '@margay/lab/network'
import { hasIpv6, kernelObstacle, runTrial } from '@margay/lab/prerequisites'
import { parseDestination, requirePod, requireSource } from '@margay/lab/target'
import type { Resource } from '@margay/schemas'
import { runCommand } from './product.ts'

/** Why this machine has no lab in the kernel; null when it has. For `describe.skipIf(labObstacle !== null)`. */
export const labObstacle = kernelObstacle({ platform: process.platform, uid: process.getuid?.(), run: runTrial })
if (labObstacle !== null) console.warn(`tests of the kernel are skipped: ${labObstacle}`)

/** What a test's lab is made from. */
export interface LabOptions {
  /** YAML text, a path (one line), or objects. A name server and the outside world are added unless given. */
  readonly manifests: string | readonly Resource[]
  /** Prefix of everything; `t` and four hex digits when absent. */
  readonly id?: string
  readonly nodes?: number
  /** A LabInternet, instead of the bundled one. */
  readonly internet?: string | Resource
  /** Make the calls of the manifests too; otherwise only probes make traffic. */
  readonly calls?: boolean
  /** Folder of the journal; a temporary one when absent. */
  readonly runDir?: string
}

/** A lab in the kernel, in this process: real namespaces, no API, no agents. */
export interface TestLab {
  readonly id: string
  readonly plan: LabPlan
  readonly pods: readonly LabPod[]
  readonly nodes: readonly LabNode[]
  /** What the lab would publish: feed it to a policy model or an agent. */
  readonly resources: readonly Resource[]
  /** A pod by `ns/name` or `ns/workload`. Throws when there is none. */
  pod(name: string): LabPod
  /** One fresh connection from a pod, or `internet/ip`, to `ns/pod:port`, `ns/service:port`, `host:port` or `ip:port`. */
  probe(
    source: string,
    destination: string,
    options?: { protocol?: 'tcp' | 'udp'; timeoutMs?: number },
  ): Promise<Contact>
  /** Asks the name server from a pod, as its own programs would. */
  lookUp(source: string, name: string): Promise<Contact>
  /** Runs a program in a pod's network. */
  exec(pod: string, ...command: string[]): Promise<{ code: number; stdout: string; stderr: string }>
  add(text: string): Promise<LabChange>
  remove(text: string): Promise<LabChange>
  stop(): Promise<void>
}

/** Brings up a lab and resolves when every pod listens; `stop` leaves nothing. */
export async function startLab(options: LabOptions): Promise<TestLab> {
  const id = options.id ?? `t${randomBytes(2).toString('hex')}`
  const runDir = options.runDir ?? mkdtempSync(join(tmpdir(), 'margay-lab-'))
  const reporter = createReporter('lab', { level: 'warn' })
  const network = createKernelNetwork({ id, runDir }, { reporter })
  const callers = createCallers({ network, reporter, random: Math.random })
  const publisher = { name: 'none', refused: [], publish: async () => {} }
  const documents = withCluster([...documentsOf(options.internet ?? []), ...documentsOf(options.manifests)])
  const lab = createLab(
    { id, nodes: options.nodes ?? 2, ipv6: hasIpv6({ run: runTrial }), documents },
    { network, callers, publisher },
  )

  async function stop(): Promise<void> {
    await callers.stop?.()
    await network.stop?.()
    if (options.runDir === undefined) rmSync(runDir, { recursive: true, force: true })
  }
  try {
    await network.start?.()
    await lab.start?.()
    if (options.calls) await callers.start?.()
  } catch (error) {
    await stop()
    throw error
  }
  const pod = (name: string) => requirePod(lab.plan, name)
  return {
    id,
    get plan() {
      return lab.plan
    },
    get pods() {
      return lab.plan.pods
    },
    get nodes() {
      return lab.plan.nodes
    },
    get resources() {
      return publishedResources(lab.plan)
    },
    pod,
    probe(source, destination, { protocol = 'tcp', timeoutMs = 1000 } = {}) {
      const { host, port } = parseDestination(lab.plan, destination)
      return network.connect(requireSource(lab.plan, source), { scheme: protocol, host, port, timeoutMs })
    },
    lookUp: (source, host) =>
      network.connect(requireSource(lab.plan, source), { scheme: 'dns', host, port: null, timeoutMs: 1000 }),
    exec: (name, ...command) => runCommand('ip', ['netns', 'exec', pod(name).netns, ...command]),
    add: (text) => lab.add(text, 'test'),
    remove: (text) => lab.remove(text, 'test'),
    stop,
  }
}

function documentsOf(manifests: string | Resource | readonly Resource[]): readonly Document[] {
  if (typeof manifests !== 'string')
    return [manifests].flat().map((resource) => ({ resource: resource as Resource, file: 'test' }))
  return manifests.includes('\n') ? parseDocuments(manifests, 'test') : readDocuments(manifests).documents
}
