import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { enterNetns } from '@margay/kit/netns'
import { createAssembly } from '../flows/assembly.ts'
import { parseIpPacket } from '../flows/ip-packet.ts'
import { nflogGroups } from '../nftables/base-chains.ts'
import { servicePrefix } from '../nftables/render.ts'
import { decodeMessages, types } from './message.ts'
import { bindGroup, decodePacket, nflogPacketType } from './nflog.ts'
import { openNetlink } from './socket.ts'
import type { WorkerOptions, WorkerReport, WorkerRequest } from './worker-protocol.ts'

// The thread that reads logged packets. It blocks on the socket, so it looks for requests between two datagrams.

const report = (message: WorkerReport) => parentPort?.postMessage(message)
/** Time between two reports while packets keep coming. */
const reportMs = 50

function main(options: WorkerOptions): void {
  if (options.netns !== null) enterNetns(options.netns)
  const socket = openNetlink({ groups: 0, timeoutMs: 20, bufferBytes: options.bufferBytes })
  for (const group of [nflogGroups.ingress, nflogGroups.egress])
    for (const message of bindGroup(group, { threshold: 100, copyBytes: 256 }))
      socket.request(message, `NFLOG group ${group}`)
  report({ type: 'ready', largeBuffer: socket.largeBuffer })

  const assembly = createAssembly()
  const syncs: number[] = []
  let packets = 0
  let malformed = 0
  let overruns = 0
  let reported = Date.now()

  function take(payload: Buffer): void {
    packets += 1
    const logged = decodePacket(payload)
    if (logged === null) {
      malformed += 1
      return
    }
    const packet = parseIpPacket(logged.payload)
    if (packet === null) malformed += 1
    else if (logged.prefix === servicePrefix) assembly.addressed(packet)
    else assembly.add(logged.group === nflogGroups.ingress ? 'ingress' : 'egress', logged.prefix, packet)
  }

  for (;;) {
    const datagram = socket.receive()
    if (datagram === 'overrun') overruns += 1
    else if (datagram !== null)
      for (const message of decodeMessages(datagram)) {
        if (message.type === nflogPacketType) take(message.payload)
        else if (message.type === types.overrun) overruns += 1
      }
    const idle = datagram === null
    if (packets + overruns > 0 && (idle || Date.now() - reported >= reportMs)) {
      const { judged, noted } = assembly.take()
      report({ type: 'logged', judged, noted, packets, malformed, overruns })
      packets = malformed = overruns = 0
      reported = Date.now()
    }
    if (idle) for (const id of syncs.splice(0)) report({ type: 'synced', id })
    const asked = parentPort === null ? undefined : receiveMessageOnPort(parentPort)
    const request = asked?.message as WorkerRequest | undefined
    if (request?.type === 'stop') break
    if (request?.type === 'sync') syncs.push(request.id)
  }
  socket.close()
}

try {
  main(workerData as WorkerOptions)
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  report({ type: 'failed', code: code ?? 'AGENT_WORKER_DIED', message })
}
