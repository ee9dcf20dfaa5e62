import { parentPort, workerData } from 'node:worker_threads'
import { enterNetns } from '@margay/kit/netns'
import { createAssembly } from '../flows/assembly.ts'
import { parseIpPacket } from '../flows/ip-packet.ts'
import { nflogGroups } from '../nftables/base-chains.ts'
import { servicePrefix } from '../nftables/render.ts'
import { decodeMessages, types } from './message.ts'
import { bindGroup, createGapCounter, decodePacket, nflogPacketType } from './nflog.ts'
import { requests } from './requests.ts'
import { openNetlink } from './socket.ts'
import { createWake } from './wake.ts'
import type { WorkerOptions, WorkerReport, WorkerRequest } from './worker-protocol.ts'

// The thread that reads logged packets. It sleeps until the kernel or the main thread calls.

const report = (message: WorkerReport) => parentPort?.postMessage(message)
/** Time between two reports while packets keep coming. */
const reportMs = 50
/** The kernel hands over what it logged 10 ms later at most; when nothing is left to read after this time, all of it is here. */
const settleMs = 20
/** Datagrams taken before anything else is looked at. */
const burst = 64

function main(options: WorkerOptions): void {
  if (options.netns !== null) enterNetns(options.netns)
  const wake = createWake()
  const socket = openNetlink({ groups: 0, timeoutMs: 100, bufferBytes: options.bufferBytes })
  for (const group of [nflogGroups.ingress, nflogGroups.egress])
    for (const message of bindGroup(group, { threshold: 100, copyBytes: 256 }))
      socket.request(message, `NFLOG group ${group}`)
  report({ type: 'ready', largeBuffer: socket.largeBuffer, wakeFd: wake.fd })

  const assembly = createAssembly()
  const gaps = createGapCounter()
  const syncs: { readonly id: number; readonly due: number }[] = []
  let packets = 0
  let malformed = 0
  let lost = 0
  let overruns = 0
  let reported = performance.now()
  let isOver = false

  function take(payload: Buffer): void {
    packets += 1
    const logged = decodePacket(payload)
    if (logged === null) {
      malformed += 1
      return
    }
    lost += gaps.count(logged)
    const packet = parseIpPacket(logged.payload)
    if (packet === null) malformed += 1
    else if (logged.prefix === servicePrefix) assembly.addressed(packet)
    else assembly.add(logged.group === nflogGroups.ingress ? 'ingress' : 'egress', logged.prefix, packet)
  }

  /** Takes what is there; true when that is all, false when there is so much that other work comes first. */
  function takePackets(): boolean {
    for (let i = 0; i < burst; i += 1) {
      const datagram = socket.receive(false)
      if (datagram === null) return true
      if (datagram === 'overrun') overruns += 1
      else
        for (const message of decodeMessages(datagram)) {
          if (message.type === nflogPacketType) take(message.payload)
          else if (message.type === types.overrun) overruns += 1
        }
    }
    return false
  }

  function tell(): void {
    reported = performance.now()
    if (packets + overruns === 0) return
    const { judged, noted } = assembly.take()
    report({ type: 'logged', judged, noted, packets, malformed, lost, overruns })
    packets = malformed = lost = overruns = 0
  }

  /** Milliseconds to sleep at most: for ever when there is nothing to tell and nobody waits. */
  function patience(): number {
    const due = Math.min(syncs[0]?.due ?? Infinity, packets + overruns > 0 ? reported + reportMs : Infinity)
    return due === Infinity ? -1 : Math.max(0, Math.ceil(due - performance.now()))
  }

  while (!isOver) {
    const isAll = wake.sleep(socket.fd, patience()) ? takePackets() : true
    for (const request of requests<WorkerRequest>()) {
      if (request.type === 'stop') isOver = true
      if (request.type === 'sync') syncs.push({ id: request.id, due: performance.now() + settleMs })
    }
    const now = performance.now()
    const isSettled = isAll && syncs[0] !== undefined && now >= syncs[0].due
    if (isSettled || now - reported >= reportMs) tell()
    if (isSettled) for (const { id } of syncs.splice(0, 1)) report({ type: 'synced', id })
  }
  tell()
  wake.close()
  socket.close()
}

try {
  main(workerData as WorkerOptions)
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  report({ type: 'failed', code: code ?? 'AGENT_WORKER_DIED', message })
}
