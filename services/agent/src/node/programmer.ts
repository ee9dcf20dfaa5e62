import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { PolicyModel } from '@margay/schemas'
import type { Dataplane, Programmed } from '../dataplane/dataplane.ts'
import type { RenderOptions } from '../nftables/render.ts'
import type { ConnectionCutter } from './connection-cutter.ts'
import type { HostPlacement } from './host-endpoints.ts'
import { createLocalEndpoints } from './local-endpoints.ts'
import { programmerHealth } from './programmer-health.ts'
import { createProgrammerMetrics } from './programmer-metrics.ts'

/** Keeps the data plane at the newest policy. */
export interface Programmer extends Component {
  /** Something that policy depends on has changed. */
  changed(): void
  /** Resolves when everything changed before the call is in force, but for policies that the kernel refuses. */
  settled(): Promise<void>
  /** Newest resource version in force; 0 before the first. */
  readonly revision: number
  /** Endpoints of this node that are enforced, and policies that select one of them. */
  readonly endpoints: number
  readonly policies: number
  /** Policies that the kernel refuses, by id, with its reason. */
  readonly refused: ReadonlyMap<string, string>
}

/** What policy is taken from and where it goes. */
export interface ProgrammerDeps {
  readonly model: PolicyModel
  /** Newest resource version that the model holds. */
  readonly version: () => number
  readonly dataplane: Dataplane
  /** The interface of an endpoint that does not name one. */
  readonly interfaceOf: (ip: string) => string | null
  /** Where the host endpoints of the node stand now. */
  readonly hosts: () => HostPlacement
  readonly options: () => RenderOptions
  /** Told of what has consequences for connections that stand. */
  readonly connections?: Pick<ConnectionCutter, 'policyChanged' | 'left'>
  readonly reporter: Reporter
}

const firstRetryMs = 200
const longestRetryMs = 10_000
/** Time between two looks whether somebody else changed the rules; one takes some 30 microseconds. */
const watchMs = 200

const nothing: Programmed = {
  policies: 0,
  domainSets: 0,
  refused: new Map(),
  changed: false,
  size: { chains: 0, rules: 0, sets: 0, elements: 0 },
}

/** Makes the programmer of a node. It programs at once; what comes while a transaction runs goes into the next. */
export function createProgrammer(node: string, deps: ProgrammerDeps): Programmer {
  const { model, dataplane, reporter } = deps
  const local = createLocalEndpoints(node, { model, interfaceOf: deps.interfaceOf })
  const follower = model.follow()
  const metrics = createProgrammerMetrics(reporter)
  let soon: NodeJS.Immediate | undefined
  let retry: NodeJS.Timeout | undefined
  let watch: NodeJS.Timeout | undefined
  let running: Promise<void> | null = null
  let isDirty = false
  let isStopped = true
  let retryMs = firstRetryMs
  let failure: string | null = null
  let waiting: readonly string[] = []
  let unplaced: readonly string[] = []
  let programmed = nothing
  let toldRefusals = ''
  let revision = 0
  let endpoints = 0
  let waiters: (() => void)[] = []
  /** Addresses that left, until that is programmed. */
  const left: string[] = []

  async function program(): Promise<void> {
    const version = deps.version()
    const changes = follower.take()
    left.push(...local.follow(changes))
    const placed = local.placed()
    const hosts = deps.hosts()
    waiting = placed.waiting
    unplaced = hosts.unplaced.map(({ name }) => name)
    const end = metrics.seconds.startTimer()
    programmed = await dataplane.program({
      node,
      changes,
      endpoints: placed.endpoints,
      hosts,
      options: deps.options(),
    })
    end()
    metrics.programmed(programmed)
    // Only now can nobody open another one by the policy of before.
    if (left.length > 0) deps.connections?.left(left.splice(0))
    if (programmed.changed) deps.connections?.policyChanged()
    revision = version
    endpoints = placed.endpoints.length + new Set([...hosts.named.values(), ...(hosts.rest ? [hosts.rest] : [])]).size
    tellRefusals()
  }

  /** Once in the log for each policy and reason. */
  function tellRefusals(): void {
    const present = JSON.stringify([...programmed.refused])
    if (present === toldRefusals) return
    toldRefusals = present
    for (const [policy, error] of programmed.refused)
      reporter.log.error({ policy, error }, 'policy refused, its last good form stays')
  }

  async function runUntilClean(): Promise<void> {
    while (isDirty && !isStopped) {
      isDirty = false
      const asking = waiters
      waiters = []
      try {
        await program()
        failure = null
        retryMs = firstRetryMs
        for (const resolve of asking) resolve()
      } catch (error) {
        isDirty = true
        waiters.unshift(...asking)
        failure = messageOf(error)
        metrics.failed()
        reporter.log.error({ error: failure, retryMs }, 'data plane not programmed')
        retry = setTimeout(run, retryMs)
        retryMs = Math.min(retryMs * 2, longestRetryMs)
        return
      }
    }
  }

  function run(): void {
    if (running !== null || isStopped) return
    running = runUntilClean().finally(() => {
      running = null
    })
  }

  /** Behind everything that is being read now, so that a burst of changes is one transaction. */
  function schedule(): void {
    clearImmediate(soon)
    soon = setImmediate(run)
  }

  function lookForDrift(): void {
    try {
      // A failed attempt writes everything again anyway, when its pause is over.
      if (running !== null || failure !== null || !dataplane.drifted()) return
      metrics.drifted()
      isDirty = true
      run()
    } catch (error) {
      reporter.log.warn({ error: messageOf(error) }, 'data plane not watched')
    }
  }

  return {
    name: 'policy',
    get revision() {
      return revision
    },
    get endpoints() {
      return endpoints
    },
    get policies() {
      return programmed.policies
    },
    get refused() {
      return programmed.refused
    },
    changed() {
      isDirty = true
      // A failed attempt keeps its own, longer pause.
      if (running === null && !isStopped && failure === null) schedule()
    },
    settled() {
      return new Promise((resolve) => {
        waiters.push(resolve)
        this.changed()
      })
    },
    async start() {
      isStopped = false
      isDirty = true
      // A node whose first attempt fails keeps trying: what an agent before it programmed stays in force meanwhile.
      run()
      await running
      watch = setInterval(lookForDrift, watchMs)
      const { policies } = programmed
      reporter.log.info({ dataplane: dataplane.name, endpoints, policies, revision }, 'policy programmed')
    },
    async stop() {
      isStopped = true
      clearImmediate(soon)
      clearTimeout(retry)
      clearInterval(watch)
      await running
      follower.stop()
      for (const resolve of waiters.splice(0)) resolve()
    },
    health: () => programmerHealth({ failure, waiting, unplaced, programmed, domains: dataplane.capabilities.domains }),
  }
}
