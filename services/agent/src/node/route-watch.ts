import { closeSync, openSync } from 'node:fs'
import { inNetns, netnsPath } from '@margay/kit/netns'
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts'

/** Groups of rtnetlink(7) that tell of addresses and routes of both families. */
const groups = 0x10 | 0x40 | 0x100 | 0x400

/** Time between two looks, milliseconds: one costs a microsecond, and a pod waits for policy no longer than this. */
const lookMs = 25

/**
 * Tells when addresses or routes of a network namespace (null: this process's own) change. A socket of this process and no helper beside it,
 * so that nothing is left behind when the process is killed. It may tell more often than something changed, never less.
 */
export function createRouteWatch(netns: string | null, changed: () => void): { start(): void; stop(): void } {
  let socket: NetlinkSocket | undefined
  let timer: NodeJS.Timeout | undefined

  function open(): NetlinkSocket {
    const make = () => openNetlink({ family: 'route', groups, timeoutMs: 100, bufferBytes: 1024 * 1024 })
    if (netns === null) return make()
    const fd = openSync(netnsPath(netns), 'r')
    try {
      return inNetns(fd, make)
    } finally {
      closeSync(fd)
    }
  }

  function look(from: NetlinkSocket): void {
    let isChanged = false
    // What the kernel had to drop is a change as well.
    while (from.receive(false) !== null) isChanged = true
    if (isChanged) changed()
  }

  return {
    start() {
      const opened = open()
      socket = opened
      timer = setInterval(() => look(opened), lookMs)
    },
    stop() {
      clearInterval(timer)
      socket?.close()
      socket = undefined
    },
  }
}
