import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { MargayError, messageOf } from '@margay/kit/errors'
import { enterNetns } from '@margay/kit/netns'
import { createAnswerDesk } from '../dns/answer-desk.ts'
import { dnsLogGroup, dnsTable } from '../dns/dns-rules.ts'
import { createDnsTable } from '../dns/dns-table.ts'
import { createDomainElements } from '../dns/domain-elements.ts'
import type { KnownName } from '../dns/domain-facts.ts'
import type { DomainSet } from '../dns/domain-sets.ts'
import { createDomainStore } from '../dns/domain-store.ts'
import { readMembers } from '../dns/set-members.ts'
import type { DnsThreadOptions, DnsThreadReport, DnsThreadRequest, DnsThreadSettings } from '../dns/thread-protocol.ts'
import { createGenerationReader } from '../nftables/generation.ts'
import { createNetlinkWriter, openTables } from '../nftables/wire/netlink-writer.ts'
import { decodeMessages } from './message.ts'
import { bindGroup } from './nflog.ts'
import { bindQueue, unbindQueue } from './nfqueue.ts'
import { openNetlink } from './socket.ts'
import { createWake } from './wake.ts'

// The thread that holds DNS answers until the kernel knows their addresses. It sleeps until the kernel or the main thread calls.

const report = (message: DnsThreadReport) => parentPort?.postMessage(message)
/** Time between two looks at what has ended, what somebody changed, and what was counted. */
const roundMs = 1000
const policyTable = 'margay'
const receiveBuffer = 4 * 1024 * 1024
/** All of a packet that fits into an attribute. */
const wholePacket = 65_531
/** Names of one part of what is saved. */
const savedPart = 1000
const sharedLimit = 1000
/** Datagrams taken before anything else is looked at. */
const burst = 64
/** Pause before programming is tried again. */
const retryMs = 2

function main(options: DnsThreadOptions): void {
  if (options.netns !== null) enterNetns(options.netns)
  const wake = createWake()
  const packets = openNetlink({ groups: 0, timeoutMs: 100, bufferBytes: receiveBuffer })
  const queries = openTables(null)
  const policy = counted(createNetlinkWriter({ netns: null, table: policyTable }))
  const ownWriter = counted(createNetlinkWriter({ netns: null, table: dnsTable }))
  const table = createDnsTable({ writer: ownWriter, socket: queries })
  const generation = createGenerationReader(null)
  /** Milliseconds since 1970 that only grow. */
  const clock = () => performance.timeOrigin + performance.now()
  const store = createDomainStore()
  const elements = createDomainElements({
    store,
    kernel: {
      commit: (changes) => patiently(() => policy.commit(changes)),
      members(set) {
        sequence += 1
        return readMembers(queries, { table: policyTable, set, sequence })
      },
    },
    now: clock,
  })
  const desk = createAnswerDesk({ store, elements, send: packets.send, report, now: clock })

  let settings: DnsThreadSettings | null = null
  let sets: readonly DomainSet[] = []
  /** The queue that this thread listens to. */
  let bound: { queue: number; size: number } | null = null
  let obstacle: string | null = null
  let installed = ''
  let seenGeneration = -1
  let overruns = 0
  let repaired = 0
  let refused = 0
  let sequence = 0
  let nextRound = clock() + roundMs
  let isOver = false
  /** What is done in parts, with packets in between. */
  const work: Generator<void>[] = []

  /** Counts the transactions of a writer where the main thread can see it. */
  function counted<W extends { commit(changes: never): void }>(writer: W): W {
    const cells = new Int32Array(options.transactions)
    const commit = writer.commit.bind(writer)
    writer.commit = (changes) => {
      Atomics.store(cells, 0, 1)
      try {
        commit(changes)
        Atomics.add(cells, 1, 1)
      } finally {
        Atomics.store(cells, 0, 0)
      }
    }
    return writer
  }

  /** A kernel that is out of memory for a moment is asked again, as long as an answer may be held. */
  function patiently(action: () => void): void {
    const since = clock()
    for (;;) {
      try {
        action()
        return
      } catch (error) {
        const isFinal = error instanceof MargayError && error.code === 'NFT_REFUSED'
        if (isFinal || clock() - since > (settings?.longestHoldMs ?? 0)) throw error
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
      }
    }
  }

  /** Listens to the queue of the settings, or to none. */
  function bind(): void {
    const { delays = false, queue = 0, queueSize: size = 0 } = settings ?? {}
    obstacle = delays ? table.whyNoQueue(queue) : null
    const isWanted = delays && obstacle === null
    if (isWanted && bound?.queue === queue && bound.size === size) return
    if (bound !== null) {
      // Nothing may wait in a queue that is given back.
      install(null)
      takePackets()
      packets.request(unbindQueue(bound.queue), `giving back queue ${bound.queue}`)
      bound = null
    }
    if (!isWanted) return
    try {
      for (const message of bindQueue(queue, { copyBytes: wholePacket, maxLength: size, failOpen: true }))
        packets.request(message, `queue ${queue}`)
      bound = { queue, size }
    } catch (error) {
      obstacle = `queue ${queue} is not to be had, another program may listen to it: ${messageOf(error)}`
    }
  }

  function install(queue: number | null): void {
    const servers = settings?.servers ?? []
    table.install(servers, queue)
    installed = JSON.stringify([servers, queue])
    seenGeneration = -1
  }

  /** Answers wait only while a rule names a domain. */
  function settle(): void {
    const queue = bound !== null && sets.length > 0 ? bound.queue : null
    if (installed !== JSON.stringify([settings?.servers ?? [], queue])) install(queue)
  }

  function* fill(id: number, list: readonly DomainSet[]): Generator<void> {
    let error: string | null = null
    try {
      sets = list
      settle()
      yield* elements.fill(list)
    } catch (reason) {
      error = messageOf(reason)
    }
    if (id > 0) report({ type: 'filled', id, error })
  }

  function* save(id: number): Generator<void> {
    let part: KnownName[] = []
    for (const name of store.known()) {
      part.push(name)
      if (part.length < savedPart) continue
      report({ type: 'known', id, names: part, isLast: false })
      part = []
      yield
    }
    report({ type: 'known', id, names: part, isLast: true })
  }

  function answer(request: DnsThreadRequest): void {
    switch (request.type) {
      case 'configure':
        settings = request.settings
        store.extraMs = settings.extraMs
        bind()
        settle()
        report({
          type: 'configured',
          id: request.id,
          mode: bound === null ? 'copied' : 'delayed',
          reason: obstacle,
        })
        break
      case 'fill':
        work.push(fill(request.id, request.sets))
        break
      case 'restore':
        store.restore(request.names, clock())
        tellNames()
        break
      case 'clear':
        elements.clear()
        tellNames()
        break
      case 'save':
        work.push(save(request.id))
        break
      case 'look': {
        const { size, dropped } = store
        report({ type: 'looked', id: request.id, size, dropped, shared: store.shared(sharedLimit) })
        break
      }
      case 'remove':
        table.remove()
        report({ type: 'removed', id: request.id })
        break
      case 'stop':
        isOver = true
    }
  }

  function tellNames(): void {
    const { learned, forgotten } = elements.apply()
    if (learned.length + forgotten.length > 0) report({ type: 'names', learned, forgotten })
  }

  function takePackets(): void {
    for (let i = 0; i < burst; i += 1) {
      const datagram = packets.receive(false)
      if (datagram === null) return
      if (datagram === 'overrun') overruns += 1
      else for (const message of decodeMessages(datagram)) desk.take(message)
    }
  }

  /** Looks after what nobody calls for. */
  function round(): void {
    const now = clock()
    nextRound = now + roundMs
    store.expire(now)
    elements.expire(now)
    tellNames()
    if (elements.isIncomplete && work.length === 0) work.push(fill(0, sets))
    const present = generation.read()
    if (installed !== '' && present !== seenGeneration && !table.isIntact()) {
      repaired += 1
      installed = ''
      settle()
    }
    seenGeneration = present
    const counts = desk.counts()
    if (counts === null && overruns + repaired + elements.refused === refused) return
    const nothing = { results: {}, strangers: 0, holds: [], failure: null }
    report({ type: 'counted', ...(counts ?? nothing), overruns, repaired, refused: elements.refused - refused })
    overruns = repaired = 0
    refused = elements.refused
  }

  for (const message of bindGroup(dnsLogGroup, { threshold: 1, copyBytes: 0xffff }))
    packets.request(message, `NFLOG group ${dnsLogGroup}`)
  report({ type: 'ready', wakeFd: wake.fd })
  while (!isOver) {
    const patience = work.length > 0 ? 0 : Math.max(0, Math.ceil(nextRound - clock()))
    if (wake.sleep(packets.fd, patience)) takePackets()
    for (
      let asked = parentPort && receiveMessageOnPort(parentPort);
      asked;
      asked = parentPort && receiveMessageOnPort(parentPort)
    )
      answer(asked.message as DnsThreadRequest)
    if (work[0]?.next().done === true) work.shift()
    if (clock() >= nextRound) round()
  }
  takePackets()
  for (const part of [packets, queries, policy, ownWriter, generation, wake]) part.close()
}

try {
  main(workerData as DnsThreadOptions)
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  report({ type: 'failed', code: code ?? 'AGENT_WORKER_DIED', message })
}
