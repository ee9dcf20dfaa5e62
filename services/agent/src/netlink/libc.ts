import { MargayError } from '@margay/kit/errors'
import koffi from 'koffi'

/** The calls of the C library that kernel sockets are made of. Node has none of them. */
interface Libc {
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, length: number): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number
  send(fd: number, message: Uint8Array, length: number, flags: number): number
  recv(fd: number, buffer: Uint8Array, length: number, flags: number): number
  poll(fds: Uint8Array, count: number, timeoutMs: number): number
  eventfd(initial: number, flags: number): number
  close(fd: number): number
}

let libc: Libc | undefined

function open() {
  try {
    return koffi.load('libc.so.6')
  } catch (cause) {
    throw new MargayError('NETLINK_FAILED', 'libc.so.6 cannot be loaded: use a system with glibc', {
      cause,
      details: { call: 'load' },
    })
  }
}

/** The C library, loaded on first use. Throws NETLINK_FAILED. */
export function loadLibc(): Libc {
  if (libc !== undefined) return libc
  const library = open()
  libc = {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, const void *, uint32_t)'),
    setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)'),
    send: library.func('int64_t send(int, const void *, size_t, int)'),
    recv: library.func('int64_t recv(int, void *, size_t, int)'),
    poll: library.func('int poll(_Inout_ void *, uint64_t, int)'),
    eventfd: library.func('int eventfd(unsigned int, int)'),
    close: library.func('int close(int)'),
  } as unknown as Libc
  return libc
}
