import { closeSync, openSync } from 'node:fs'
import koffi from 'koffi'
import { MargayError } from './errors.ts'

const cloneNewnet = 0x40000000
let setns: ((fd: number, kind: number) => number) | undefined

function enter(fd: number, what: string): void {
  setns ??= koffi.load('libc.so.6').func('int setns(int fd, int nstype)') as unknown as (
    fd: number,
    kind: number,
  ) => number
  if (setns(fd, cloneNewnet) !== 0) {
    throw new MargayError(
      'NETNS_REFUSED',
      `cannot enter the network namespace ${what} (errno ${koffi.errno()}): run as root`,
    )
  }
}

/** Path of a named network namespace, as `ip netns add` makes it. */
export const netnsPath = (name: string) => `/run/netns/${name}`

/** Moves the calling thread into a network namespace for good. Meant for worker threads. */
export function enterNetns(name: string): void {
  const fd = openSync(netnsPath(name), 'r')
  try {
    enter(fd, name)
  } finally {
    closeSync(fd)
  }
}

/**
 * Runs a synchronous action with the calling thread inside a network namespace and comes back whatever happens:
 * sockets made in it belong to the namespace for ever, the event loop stays outside.
 */
export function inNetns<T>(fd: number, action: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r')
  try {
    enter(fd, `fd ${fd}`)
    return action()
  } finally {
    enter(home, 'of this process')
    closeSync(home)
  }
}
