import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { Endpoint, PolicyModel } from '@margay/schemas'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { LocalEndpoint, RenderOptions } from '../nftables/render.ts'
import type { HostPlacement } from './host-endpoints.ts'
import { domainRules } from './unenforced.ts'

/** Keeps the data plane at the newest policy. */
export interface Programmer extends Component {
  /** Something that policy depends on has changed. */
  changed(): void
  /** Resolves when everything changed before the call is in force. */
  settled(): Promise<void>
  /** Newest resource version in force; 0 before the first. */
  readonly revision: number
  /** Endpoints of this node that are enforced, and policies that select one of them. */
  readonly endpoints: number
  readonly policies: number
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
  readonly reporter: Reporter
}

/** Changes within this time are programmed together; a policy must be in the kernel well within a second. */
const settleMs = 30
const firstRetryMs = 200
const longestRetryMs = 10_000
/** Time between two looks whether somebody else changed the rules. */
const watchMs = 1000

/** Makes the programmer of a node. */
export function createProgrammer(node: string, deps: ProgrammerDeps): Programmer {
  const { model, dataplane, reporter } = deps
  let timer: NodeJS.Timeout | undefined
  let watch: NodeJS.Timeout | undefined
  let running: Promise<void> | null = null
  let isDirty = false
  let isStopped = true
  let retryMs = firstRetryMs
  let failure: string | null = null
  let waiting: string[] = []
  let unplaced: string[] = []
  /** Rules with domains in policies that select an endpoint of the node. */
  let localDomainRules = 0
  let notes: readonly string[] = []
  let logged: readonly string[] = []
  let revision = 0
  let endpoints = 0
  let policies = 0
  let waiters: (() => void)[] = []
  const seconds = reporter.histogram(
    'program_seconds',
    'time to bring the data plane to the newest policy',
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )
  const drifts = reporter.counter('drifts_total', 'times the data plane was written again because it may have changed')
  const programs = reporter.counter('programs_total', 'times the data plane was programmed', ['result'])

  function locals(): LocalEndpoint[] {
    const found: LocalEndpoint[] = []
    waiting = []
    for (const endpoint of model.endpoints()) {
      if (endpoint.node !== node || endpoint.kind !== 'wep') continue
      const interfaceName = endpoint.interfaceName ?? interfaceByRoute(endpoint)
      if (interfaceName === null) waiting.push(endpoint.key)
      else found.push({ endpoint, interfaceName })
    }
    return found
  }

  function interfaceByRoute({ ips }: Endpoint): string | null {
    for (const ip of ips) {
      const name = deps.interfaceOf(ip)
      if (name !== null) return name
    }
    return null
  }

  /** Tells once in the log what is not enforced, and keeps for the details of health what need not be put right on this node. */
  function note(): void {
    const idle = domainRules(model) - localDomainRules
    notes = idle > 0 ? [`${idle} rules with domains match nothing; they select no endpoint of this node`] : []
    const present = [...domainReason(), ...notes]
    for (const text of present)
      if (!logged.includes(text)) reporter.log.warn({ what: text }, 'policy that is not enforced')
    logged = present
  }

  const domainReason = () =>
    localDomainRules > 0 ? [`${localDomainRules} rules with domains match nothing on this node`] : []

  async function program(): Promise<void> {
    const version = deps.version()
    const found = locals()
    const hosts = deps.hosts()
    const guarding = [...hosts.named.values(), ...(hosts.rest === null ? [] : [hosts.rest])]
    unplaced = hosts.unplaced.map(({ name }) => name)
    const end = seconds.startTimer()
    const programmed = await dataplane.program({ node, model, endpoints: found, hosts, options: deps.options() })
    end()
    programs.inc({ result: programmed.changed ? 'changed' : 'unchanged' })
    revision = version
    endpoints = found.length + new Set(guarding).size
    policies = programmed.policies
    localDomainRules = programmed.domainRules
    note()
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
        programs.inc({ result: 'failed' })
        reporter.log.error({ error: failure, retryMs }, 'data plane not programmed')
        schedule(retryMs)
        retryMs = Math.min(retryMs * 2, longestRetryMs)
        return
      }
    }
  }

  function lookForDrift(): void {
    try {
      if (running !== null || !dataplane.drifted()) return
      drifts.inc()
      isDirty = true
      schedule(0)
    } catch (error) {
      reporter.log.warn({ error: messageOf(error) }, 'data plane not watched')
    }
  }

  function schedule(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => {
      if (running !== null || isStopped) return
      running = runUntilClean().finally(() => {
        running = null
      })
    }, ms)
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
      return policies
    },
    changed() {
      isDirty = true
      // A failed attempt keeps its own, longer pause.
      if (running === null && !isStopped && failure === null) schedule(settleMs)
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
      running = runUntilClean().finally(() => {
        running = null
      })
      await running
      watch = setInterval(lookForDrift, watchMs)
      reporter.log.info({ dataplane: dataplane.name, endpoints, policies, revision }, 'policy programmed')
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      clearInterval(watch)
      await running
      for (const resolve of waiters.splice(0)) resolve()
    },
    health() {
      if (failure !== null) return { state: 'degraded', reason: `policy is not in force: ${failure}` }
      const reasons: string[] = []
      if (waiting.length > 0) {
        const some = waiting.slice(0, 3).join(', ')
        reasons.push(`${waiting.length} endpoints have no interface yet and are not enforced (${some})`)
      }
      if (unplaced.length > 0) {
        const some = unplaced.slice(0, 3).join(', ')
        reasons.push(`${unplaced.length} host endpoints have no interface of their own and are not enforced (${some})`)
      }
      reasons.push(...domainReason())
      const state = reasons.length === 0 ? 'ok' : 'degraded'
      const told = [...reasons, ...notes]
      return told.length === 0 ? { state } : { state, reason: told.join('; ') }
    },
  }
}
