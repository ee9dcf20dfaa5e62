import { closeSync, openSync } from 'node:fs'
import koffi from 'koffi'
import { MargayError } from './errors.ts'

const cloneNewnet = 0x40000000

interface Libc {
  setns(fd: number, kind: number): number
  socket(domain: number, type: number, protocol: number): number
}
let loaded: Libc | undefined

/** The C library, loaded when first needed: machines without namespaces never do. */
function libc(): Libc {
  if (loaded !== undefined) return loaded
  const library = koffi.load('libc.so.6')
  loaded = {
    setns: library.func('int setns(int fd, int nstype)'),
    socket: library.func('int socket(int domain, int type, int protocol)'),
  } as unknown as Libc
  return loaded
}

function enter(fd: number, what: string): void {
  if (libc().setns(fd, cloneNewnet) !== 0) {
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

/** As `inNetns`, in a network namespace by name; null is the one that the thread is in. */
export function inNamedNetns<T>(name: string | null, action: () => T): T {
  if (name === null) return action()
  const fd = openSync(netnsPath(name), 'r')
  try {
    return inNetns(fd, action)
  } finally {
    closeSync(fd)
  }
}

const families = { 4: 2, 6: 10 } as const
const sockStream = 1
const sockNonblock = 0o4000
const sockCloexec = 0o2000000

/**
 * Opens an unconnected TCP socket of a family (non-blocking, closed on exec) in the network namespace that the thread is in, and returns
 * its file descriptor: hand it to `new net.Socket({ fd, readable: true, writable: true })`, then `connect`.
 * Node itself creates a socket only when it connects, which may be after the namespace was left. Throws NETNS_REFUSED.
 */
export function openTcpSocket(family: 4 | 6 = 4): number {
  const fd = libc().socket(families[family], sockStream | sockNonblock | sockCloexec, 0)
  if (fd < 0)
    throw new MargayError('NETNS_REFUSED', `cannot open a TCP socket (errno ${koffi.errno()}): raise ulimit -n`)
  return fd
}
