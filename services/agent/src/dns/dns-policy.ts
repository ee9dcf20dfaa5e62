import type { Component, Health } from '@margay/kit/component'
import { MargayError, messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { DnsLookup } from '@margay/schemas'
import { createDestinationNames, type DestinationNames } from './destination-names.ts'
import { openDnsCache, readDnsCache } from './dns-cache.ts'
import { createDnsThread } from './dns-thread.ts'
import type { DomainSets } from './domain-sets.ts'
import type { DnsPolicySettings } from './settings.ts'
import type { DnsMode, DnsThreadCounts, DnsThreadReport, DnsThreadState } from './thread-protocol.ts'
import { type ServiceResources, trustedServers } from './trusted-servers.ts'

/** DNS policy of a node: answers of trusted servers are held until the kernel knows their addresses (spec 5.12). */
export interface DnsPolicy extends Component, DomainSets {
  readonly names: Pick<DestinationNames, 'all' | 'forClient'>
  /** Settings, or services, may have changed. */
  changed(): void
  /** Calls for every lookup that a client got an answer to; `isTrusted` is false when policy did not learn from it. */
  onLookup(listener: (lookup: DnsLookup, isTrusted: boolean) => void): void
  /** Number of the kernel's rule set as if this had never changed it: whoever looks for changes of others asks for it. */
  foreign(generation: () => number): number
  look(): Promise<DnsMode & DnsThreadState>
}

/** What it is made from. */
export interface DnsPolicyDeps {
  readonly settings: () => DnsPolicySettings
  readonly services: () => ServiceResources
  readonly reporter: Reporter
  /** Called when the thread dies. */
  readonly died: (error: Error) => void
  readonly now: () => number
}

/** Names restored with one message: some milliseconds in which answers wait. */
const restorePart = 1000
/** Changes of services within this time are taken over together. */
const settleMs = 50
const holdBuckets = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 3]

/** Makes the DNS policy of a node; `cacheFile` is where it remembers what it learned, unless the settings name another place. */
export function createDnsPolicy(
  config: { readonly netns: string | null; readonly cacheFile: string; readonly uninstall: boolean },
  deps: DnsPolicyDeps,
): DnsPolicy {
  const { reporter } = deps
  const names = createDestinationNames({ now: deps.now })
  const listeners: ((lookup: DnsLookup, isTrusted: boolean) => void)[] = []
  const packets = reporter.counter('dns_packets_total', 'DNS packets seen', ['result'])
  const untrusted = reporter.counter(
    'dns_untrusted_answers_total',
    'answers of servers that are not trusted, from which policy learns nothing',
  )
  const overruns = reporter.counter(
    'dns_overruns_total',
    'times the kernel dropped DNS packets because its buffer was full',
  )
  const refused = reporter.counter(
    'dns_elements_refused_total',
    'addresses that the kernel did not take into a domain set',
  )
  const repairs = reporter.counter('dns_repairs_total', 'times the table that shows DNS packets was written again')
  const held = reporter.histogram('dns_hold_seconds', 'time for which an answer was held, a sample', holdBuckets)
  const known = reporter.gauge('dns_known', 'what was learned from DNS and lives still', ['what'])
  const noteUntrusted = reporter.sampled()

  let settings = deps.settings()
  let present: DnsMode = { mode: 'copied', reason: null }
  let unknown: readonly string[] = []
  let told = ''
  let timer: NodeJS.Timeout | undefined
  let saving: NodeJS.Timeout | undefined
  let savePause = 0
  let draft: Awaited<ReturnType<typeof openDnsCache>> | null = null
  let isRunning = false
  let failure: string | null = null
  /** Requests about settings are done one after the other. */
  let configuring: Promise<void> = Promise.resolve()

  const thread = createDnsThread({ netns: config.netns }, { report: take, died: deps.died })

  function take(report: DnsThreadReport): void {
    if (report.type === 'seen') for (const lookup of report.lookups) seen(lookup, report.isTrusted)
    else if (report.type === 'names') names.change(report.learned, report.forgotten)
    else if (report.type === 'known') draft?.add(report.names)
    else if (report.type === 'counted') count(report)
  }

  function seen(lookup: DnsLookup, isTrusted: boolean): void {
    if (isTrusted) names.answered(lookup)
    else {
      const { client, server, message } = lookup
      noteUntrusted({ client, server, name: message.question.name }, 'answer of a server that is not trusted')
    }
    for (const listener of listeners) listener(lookup, isTrusted)
  }

  function count(counts: DnsThreadCounts): void {
    for (const [result, number] of Object.entries(counts.results)) packets.inc({ result }, number)
    untrusted.inc(counts.strangers)
    overruns.inc(counts.overruns)
    refused.inc(counts.refused)
    repairs.inc(counts.repaired)
    for (const seconds of counts.holds) held.observe(seconds)
    if (counts.failure !== null) reporter.log.error({ error: counts.failure }, 'DNS packet not read')
    if (counts.repaired > 0)
      reporter.log.warn({}, 'table that shows DNS packets was changed by somebody and written again')
  }

  async function configure(): Promise<void> {
    const before = settings
    settings = deps.settings()
    const { delays, queue, queueSize, longestHoldMs, extraMs } = settings
    const trusted = trustedServers(settings.trustedServers, deps.services())
    unknown = trusted.unknown
    if (before.epoch !== settings.epoch) thread.tell({ type: 'clear' })
    const wanted = { servers: trusted.servers, delays, queue, queueSize, longestHoldMs, extraMs }
    const text = JSON.stringify(wanted)
    if (text !== told) {
      const { mode, reason } = await thread.ask({ type: 'configure', settings: wanted }, 'configured')
      told = text
      present = { mode, reason }
      reporter.log.info(
        { mode, reason, servers: trusted.servers.length, unknown, instead: settings.instead },
        'DNS policy',
      )
    }
    schedule()
  }

  function reconfigure(): Promise<void> {
    configuring = configuring.then(configure).then(
      () => {
        failure = null
      },
      (error) => {
        failure = messageOf(error)
        told = ''
        if (isRunning) reporter.log.error({ error: failure }, 'DNS policy not set up')
      },
    )
    return configuring
  }

  function schedule(): void {
    if (savePause === settings.saveMs || !isRunning) return
    savePause = settings.saveMs
    clearInterval(saving)
    saving = setInterval(() => {
      save().catch((error) => reporter.log.warn({ error: messageOf(error) }, 'DNS cache not saved'))
    }, savePause)
  }

  const cacheFile = () => settings.cacheFile ?? config.cacheFile

  async function save(): Promise<void> {
    if (draft !== null) return
    const file = await openDnsCache(cacheFile(), settings.epoch)
    draft = file
    try {
      const last = await thread.ask({ type: 'save' }, 'known')
      file.add(last.names)
      await file.commit()
      const { size } = await thread.ask({ type: 'look' }, 'looked')
      for (const [what, number] of Object.entries(size)) known.set({ what }, number)
    } finally {
      draft = null
    }
  }

  async function restore(): Promise<void> {
    try {
      const all = await readDnsCache(cacheFile(), settings.epoch)
      // What an agent of another epoch learned must not stay in the kernel's sets either.
      if (all === null) return thread.tell({ type: 'clear' })
      for (let at = 0; at < all.length; at += restorePart)
        thread.tell({ type: 'restore', names: all.slice(at, at + restorePart) })
    } catch (error) {
      reporter.log.warn({ file: cacheFile(), error: messageOf(error) }, 'DNS cache not read')
    }
  }

  return {
    name: 'DNS policy',
    names,
    onLookup: (listener) => void listeners.push(listener),
    changed() {
      if (!isRunning) return
      clearTimeout(timer)
      timer = setTimeout(reconfigure, settleMs)
    },
    async fill(sets) {
      const { error } = await thread.ask({ type: 'fill', sets }, 'filled')
      if (error !== null) throw new MargayError('DNS_SETS_NOT_FILLED', `domain sets are not filled: ${error}`)
    },
    foreign(generation) {
      // A transaction that runs just now is over in microseconds, unless its thread died in it.
      for (let tries = 0; ; tries += 1) {
        const before = thread.transactions()
        const number = generation()
        if ((before.isOver && before.count === thread.transactions().count) || tries >= 1000)
          return number - before.count
      }
    },
    async look() {
      const { size, dropped, shared } = await thread.ask({ type: 'look' }, 'looked')
      return { ...present, size, dropped, shared }
    },
    async start() {
      settings = deps.settings()
      await thread.start()
      await restore()
      isRunning = true
      await reconfigure()
      if (failure !== null) throw new MargayError('DNS_POLICY_FAILED', `DNS packets cannot be seen: ${failure}`)
    },
    async stop() {
      isRunning = false
      clearTimeout(timer)
      clearInterval(saving)
      try {
        await configuring
        if (config.uninstall) await thread.ask({ type: 'remove' }, 'removed')
        else await save()
      } catch (error) {
        reporter.log.warn({ error: messageOf(error) }, 'DNS policy not left in order')
      }
      await thread.stop()
    },
    health(): Health {
      const reasons: string[] = []
      if (failure !== null) reasons.push(`DNS policy is not set up: ${failure}`)
      if (present.reason !== null)
        reasons.push(`DNS answers are not held, first connections by name may be refused: ${present.reason}`)
      if (reasons.length > 0) return { state: 'degraded', reason: reasons.join('; ') }
      const notes: string[] = []
      if (unknown.length > 0) notes.push(`trusted DNS servers that are not there: ${unknown.join(', ')}`)
      if (settings.instead !== null) notes.push(`DNS policy mode ${settings.instead} is done as DelayDNSResponse`)
      return notes.length === 0 ? { state: 'ok' } : { state: 'ok', reason: notes.join('; ') }
    },
  }
}
