import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { enterNetns } from '@margay/kit/netns'
import {
  type ConntrackEntry,
  conntrackDestroyType,
  conntrackEntryType,
  decodeEntry,
  destroyGroup,
  dumpRequest,
} from './conntrack.ts'
import { decodeMessages, types } from './message.ts'
import { type NetlinkSocket, openNetlink } from './socket.ts'
import type { WorkerOptions, WorkerReport, WorkerRequest } from './worker-protocol.ts'

// The thread that follows the kernel's table of connections: their ends as events, all of them on request.

const report = (message: WorkerReport) => parentPort?.postMessage(message)
const reportMs = 50
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
  const events = openNetlink({ groups: destroyGroup, timeoutMs: 20, bufferBytes: options.bufferBytes })
  const queries = openNetlink({ groups: 0, timeoutMs: 50, bufferBytes: options.bufferBytes })
  report({ type: 'ready', largeBuffer: events.largeBuffer })

  let ended: ConntrackEntry[] = []
  let overruns = 0
  let reported = Date.now()
  const tell = () => {
    if (ended.length + overruns > 0) report({ type: 'ended', entries: ended, overruns })
    ended = []
    overruns = 0
    reported = Date.now()
  }

  for (;;) {
    const datagram = events.receive()
    if (datagram === 'overrun') overruns += 1
    else if (datagram !== null)
      for (const message of decodeMessages(datagram)) {
        if (message.type !== conntrackDestroyType) continue
        const entry = decodeEntry(message.payload)
        if (entry !== null) ended.push(entry)
      }
    if (datagram === null || Date.now() - reported >= reportMs) tell()
    const asked = parentPort === null ? undefined : receiveMessageOnPort(parentPort)
    const request = asked?.message as WorkerRequest | undefined
    if (request?.type === 'stop') break
    if (request?.type === 'dump') report({ type: 'dumped', id: request.id, ...dump(queries, request.id) })
  }
  events.close()
  queries.close()
}

try {
  main(workerData as WorkerOptions)
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  report({ type: 'failed', code: code ?? 'AGENT_WORKER_DIED', message })
}
