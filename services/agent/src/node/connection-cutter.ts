import { setImmediate } from 'node:timers/promises'
import type { Component } from '@margay/kit/component'
import { messageOf } from '@margay/kit/errors'
import { inNamedNetns } from '@margay/kit/netns'
import type { Reporter } from '@margay/kit/reporter'
import { type ConntrackEntry, conntrackEntryType, decodeEntry, dumpRequest, tcpTimeWait } from '../netlink/conntrack.ts'
import { deleteRequest, flushRequest } from '../netlink/conntrack-delete.ts'
import { decodeMessages, types } from '../netlink/message.ts'
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts'

/**
 * Connections that policy no longer speaks for. Policy is asked about the packet that opens a connection; what stands goes on when policy
 * changes, as in Calico. How many of those would be denied now is counted after each change, and they are cut when that is asked for. The
 * connections of an address that leaves the node are always forgotten: the next pod with the address must not inherit them.
 */
export interface ConnectionCutter extends Component {
  /** Another policy is in force. */
  policyChanged(): void
  /** Addresses that belong to no endpoint of this node any more. */
  left(ips: readonly string[]): void
  /** Connections that stood when last looked at and that policy would deny now; those that were cut are not among them. */
  readonly denied: number
}

/** What it is made from. */
export interface CutterDeps {
  /** True when policy as it is now would deny the packet that opened the connection. */
  readonly isDenied: (entry: ConntrackEntry) => boolean
  readonly reporter: Reporter
}

/** Changes of policy within this time are looked at together. */
const settleMs = 500
/** Silence after which a dump is given up. */
const patienceMs = 5000
const bufferBytes = 4 * 1024 * 1024

/** Makes the cutter of a network namespace; null is that of this process. */
export function createConnectionCutter(
  config: { readonly netns: string | null; readonly cuts: boolean },
  { isDenied, reporter }: CutterDeps,
): ConnectionCutter {
  const standing = reporter.gauge('established_denied', 'connections that go on though policy would deny them now')
  const forgotten = reporter.counter('connections_forgotten_total', 'connections taken out of the kernel', ['reason'])
  let socket: NetlinkSocket | undefined
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | null = null
  let isWanted = false
  let isStopped = true
  let sequence = 0
  let denied = 0

  function open(): NetlinkSocket {
    const make = () => openNetlink({ groups: 0, timeoutMs: 100, bufferBytes })
    return inNamedNetns(config.netns, make)
  }

  /** False when the kernel knows no such connection, or does not know how. */
  function forget(request: Buffer, what: string): boolean {
    socket ??= open()
    try {
      socket.request(request, what)
      return true
    } catch {
      return false
    }
  }

  /** All connections, a datagram at a time; others' work fits in between. */
  async function* dump(): AsyncGenerator<ConntrackEntry> {
    const reader = open()
    try {
      sequence += 1
      reader.send(dumpRequest(sequence))
      const end = performance.now() + patienceMs
      while (performance.now() < end && !isStopped) {
        const datagram = reader.receive(false)
        const found: ConntrackEntry[] = []
        if (datagram !== null && datagram !== 'overrun')
          for (const message of decodeMessages(datagram)) {
            if (message.type === types.done || message.type === types.error) {
              yield* found
              return
            }
            const entry = message.type === conntrackEntryType ? decodeEntry(message.payload) : null
            if (entry !== null) found.push(entry)
          }
        yield* found
        await setImmediate()
      }
    } finally {
      reader.close()
    }
  }

  async function look(): Promise<void> {
    let count = 0
    for await (const entry of dump()) {
      if ((entry.tcpState ?? 0) >= tcpTimeWait || !isDenied(entry)) continue
      const isCut = config.cuts && forget(deleteRequest(++sequence, entry), 'the end of a connection')
      if (isCut) forgotten.inc({ reason: 'denied' })
      else count += 1
    }
    denied = count
    standing.set(denied)
    if (denied > 0) reporter.log.info({ connections: denied }, 'connections stand that policy would deny now')
  }

  function run(): void {
    if (looking !== null || isStopped) return
    isWanted = false
    looking = look()
      .catch((error) => reporter.log.warn({ error: messageOf(error) }, 'connections not held against policy'))
      .finally(() => {
        looking = null
        if (isWanted) schedule()
      })
  }

  function schedule(): void {
    clearTimeout(timer)
    timer = setTimeout(run, settleMs)
  }

  return {
    name: 'connections',
    get denied() {
      return denied
    },
    policyChanged() {
      isWanted = true
      if (!isStopped && looking === null) schedule()
    },
    left(ips) {
      if (isStopped) return
      for (const ip of ips)
        for (const side of ['original', 'reply'] as const)
          if (forget(flushRequest(++sequence, ip, side), `the end of the connections of ${ip}`))
            forgotten.inc({ reason: 'address left' })
    },
    async start() {
      isStopped = false
      if (isWanted) schedule()
    },
    health: () => ({
      state: 'ok',
      ...(denied > 0 ? { reason: `${denied} connections stand that policy would deny now` } : {}),
    }),
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await looking
      socket?.close()
      socket = undefined
    },
  }
}
