import { parentPort, workerData } from 'node:worker_threads'
import { enterNetns } from '@margay/kit/netns'
import { workloadPrefix } from '../nftables/base-chains.ts'
import {
  type ConntrackEntry,
  conntrackDestroyType,
  conntrackEntryType,
  decodeEntry,
  destroyGroup,
  dumpRequest,
} from './conntrack.ts'
import { decodeMessages, types } from './message.ts'
import { requests } from './requests.ts'
import { type NetlinkSocket, openNetlink } from './socket.ts'
import { createTcpWatch } from './tcp-watch.ts'
import { createWake } from './wake.ts'
import type { WorkerOptions, WorkerReport, WorkerRequest } from './worker-protocol.ts'

// The thread that follows the kernel's table of connections: their ends as events, all of them on request. It sleeps until the
// kernel or the main thread calls.

const report = (message: WorkerReport) => parentPort?.postMessage(message)
const reportMs = 50
/** Datagrams taken before anything else is looked at. */
const burst = 64
/** Silence after which a dump is given up, in receive time-outs. */
const patience = 100

function dump(socket: NetlinkSocket, sequence: number): { entries: ConntrackEntry[]; complete: boolean } {
  socket.send(dumpRequest(sequence))
  const entries: ConntrackEntry[] = []
  let complete = true
  for (let silence = 0; silence < patience; ) {
    const datagram = socket.receive()
    if (datagram === null) {
      silence += 1
      continue
    }
    if (datagram === 'overrun') {
      complete = false
      continue
    }
    for (const message of decodeMessages(datagram)) {
      if (message.sequence !== sequence) continue
      if (message.type === types.done) return { entries, complete }
      if (message.type === types.error) return { entries, complete: false }
      if (message.type !== conntrackEntryType) continue
      const entry = decodeEntry(message.payload)
      if (entry !== null) entries.push(entry)
    }
  }
  return { entries, complete: false }
}

function main(options: WorkerOptions): void {
  if (options.netns !== null) enterNetns(options.netns)
  const wake = createWake()
  const events = openNetlink({ groups: destroyGroup, timeoutMs: 100, bufferBytes: options.bufferBytes })
  const queries = openNetlink({ groups: 0, timeoutMs: 50, bufferBytes: options.bufferBytes })
  report({ type: 'ready', largeBuffer: events.largeBuffer, wakeFd: wake.fd })

  const tcp = createTcpWatch(workloadPrefix)
  let ended: ConntrackEntry[] = []
  let overruns = 0
  let reported = performance.now()
  let isOver = false

  /** Takes what is there; goes back to other work when there is much of it. */
  function takeEvents(): void {
    for (let i = 0; i < burst; i += 1) {
      const datagram = events.receive(false)
      if (datagram === null) return
      if (datagram === 'overrun') overruns += 1
      else
        for (const message of decodeMessages(datagram)) {
          if (message.type !== conntrackDestroyType) continue
          const entry = decodeEntry(message.payload)
          if (entry !== null) ended.push(entry)
        }
    }
  }

  function tell(): void {
    reported = performance.now()
    if (ended.length + overruns > 0) report({ type: 'ended', entries: ended, overruns })
    ended = []
    overruns = 0
  }

  /** Milliseconds to sleep at most: for ever when there is nothing to tell. */
  const patience = () =>
    ended.length + overruns > 0 ? Math.max(1, Math.ceil(reported + reportMs - performance.now())) : -1

  while (!isOver) {
    if (wake.sleep(events.fd, patience())) takeEvents()
    if (performance.now() - reported >= reportMs) tell()
    for (const request of requests<WorkerRequest>()) {
      if (request.type === 'stop') isOver = true
      if (request.type === 'dump') {
        // What ended before the dump is told before it.
        tell()
        report({ type: 'dumped', id: request.id, ...dump(queries, request.id), sockets: tcp.read() })
      }
      if (request.type === 'tcp') report({ type: 'tcp', reason: tcp.want(request.on) })
    }
  }
  tell()
  tcp.want(false)
  wake.close()
  events.close()
  queries.close()
}

try {
  main(workerData as WorkerOptions)
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  report({ type: 'failed', code: code ?? 'AGENT_WORKER_DIED', message })
}
