import { readSync } from 'node:fs'
import { MargayError } from '@margay/kit/errors'
import koffi from 'koffi'
import { loadLibc } from './libc.ts'

/** Lets a thread sleep until its socket has something to read, or until another thread wakes it (eventfd(2)). */
export interface Wake {
  /** Another thread wakes the sleeper by writing `wakeUp` to this descriptor. */
  readonly fd: number
  /** Sleeps; true when there is something to read from the socket. */
  sleep(socketFd: number, timeoutMs: number): boolean
  close(): void
}

/** What is written to a wake's descriptor. */
export const wakeUp = new Uint8Array(new BigUint64Array([1n]).buffer)

const cloexecNonblock = 0o2000000 | 0o4000
const pollIn = 1
const entrySize = 8

/** Makes one; any thread of the process may wake it. Throws NETLINK_FAILED. */
export function createWake(): Wake {
  const libc = loadLibc()
  const fd = libc.eventfd(0, cloexecNonblock)
  if (fd < 0) throw new MargayError('NETLINK_FAILED', `eventfd failed (errno ${koffi.errno()}): raise ulimit -n`)
  const entries = Buffer.alloc(2 * entrySize)
  const counter = Buffer.alloc(8)
  return {
    fd,
    sleep(socketFd, timeoutMs) {
      entries.writeInt32LE(socketFd, 0)
      entries.writeInt32LE(pollIn, 4)
      entries.writeInt32LE(fd, entrySize)
      entries.writeInt32LE(pollIn, entrySize + 4)
      if (libc.poll(entries, 2, timeoutMs) <= 0) return false
      if (entries.readInt16LE(entrySize + 6) !== 0) readSync(fd, counter)
      return entries.readInt16LE(6) !== 0
    },
    close: () => void libc.close(fd),
  }
}
