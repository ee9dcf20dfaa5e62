import { read } from 'node:fs'
import { inNamedNetns } from '@margay/kit/netns'
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts'

/** Groups of rtnetlink(7) that tell of addresses and routes of both families. */
const groups = 0x10 | 0x40 | 0x100 | 0x400

/** A read that waits for the kernel gives up after this time, milliseconds; the end of the process waits for it. */
const patienceMs = 250

/**
 * Tells when addresses or routes of a network namespace (null: this process's own) change. A socket of this process and no helper beside it,
 * so that nothing is left behind when the process is killed. A thread of Node's pool waits in it, so the event loop has nothing to do
 * until something changes. It may tell more often than something changed, never less.
 */
export function createRouteWatch(netns: string | null, changed: () => void): { start(): void; stop(): void } {
  let watched: NetlinkSocket | undefined

  function open(): NetlinkSocket {
    const make = () => openNetlink({ family: 'route', groups, timeoutMs: patienceMs, bufferBytes: 1024 * 1024 })
    return inNamedNetns(netns, make)
  }

  function wait(socket: NetlinkSocket): void {
    read(socket.fd, Buffer.alloc(1024), 0, 1024, null, (error) => {
      if (socket !== watched) return socket.close()
      if (error?.code !== 'EAGAIN') {
        // A burst is one change, and so is what the kernel had to drop.
        while (socket.receive(false) !== null);
        changed()
      }
      wait(socket)
    })
  }

  return {
    start() {
      watched = open()
      wait(watched)
    },
    stop() {
      // The read that still waits closes the socket.
      watched = undefined
    },
  }
}
