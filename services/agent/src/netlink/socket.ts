import { MargayError } from '@margay/kit/errors'
import koffi from 'koffi'
import { loadLibc } from './libc.ts'
import { decodeMessages, errorOf, flags, types } from './message.ts'

/**
 * A blocking netlink socket for a worker thread, made of libc calls through koffi: Node has no netlink of its own.
 * It lives in the network namespace that the thread was in when it was opened.
 */
export interface NetlinkSocket {
  /** True when the kernel gave the receive buffer that was asked for, beyond the system's limit. */
  readonly largeBuffer: boolean
  readonly fd: number
  /** Throws NETLINK_FAILED with `errno` and `call: 'send'` in its details. */
  send(message: Buffer): void
  /** Makes room for messages of so many bytes; beyond the system's limit it takes root, and may get less. */
  growSendBuffer(bytes: number): void
  /** Sends a request that wants an acknowledgement and waits for it. Throws NETLINK_REFUSED. */
  request(message: Buffer, what: string): void
  /**
   * One datagram, valid until the next call; null after the time-out (at once with `waiting` false), `overrun` when the kernel had to drop
   * messages.
   */
  receive(waiting?: boolean): Buffer | null | 'overrun'
  close(): void
}

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
/** Families of netlink (netlink(7)). */
const families = { route: 0, netfilter: 12 } as const
const SOL_SOCKET = 1
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const MSG_DONTWAIT = 0x40
const EINTR = 4
const EAGAIN = 11
const ENOBUFS = 105

/** Larger than any datagram the kernel builds (NFULNL_NLBUFSIZ_MAX is 128 KiB). */
const datagramSize = 256 * 1024

/** Opens a socket to netfilter, or to the kernel's routing. `groups` is a bit mask of multicast groups; receive gives up after `timeoutMs`. */
export function openNetlink(options: {
  readonly family?: keyof typeof families
  readonly groups: number
  readonly timeoutMs: number
  readonly bufferBytes: number
  /** Errors come without the message that they are about, and with the place in it that was wrong. */
  readonly explainErrors?: boolean
}): NetlinkSocket {
  const c = loadLibc()
  const { family = 'netfilter' } = options
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, families[family])
  const failed = (call: string) =>
    new MargayError('NETLINK_FAILED', `${call} on a ${family} socket failed (errno ${koffi.errno()}): run as root`, {
      details: { errno: koffi.errno(), call },
    })
  if (fd < 0) throw failed('socket')
  const address = Buffer.alloc(12)
  address.writeUInt16LE(AF_NETLINK, 0)
  address.writeUInt32LE(options.groups, 8)
  if (c.bind(fd, address, address.length) !== 0) {
    const error = failed('bind')
    c.close(fd)
    throw error
  }
  function setOption(level: number, name: number, number: number): boolean {
    const value = Buffer.alloc(4)
    value.writeInt32LE(number)
    return c.setsockopt(fd, level, name, value, 4) === 0
  }
  const largeBuffer = setOption(SOL_SOCKET, SO_RCVBUFFORCE, options.bufferBytes)
  if (!largeBuffer) setOption(SOL_SOCKET, SO_RCVBUF, options.bufferBytes)
  if (options.explainErrors === true) {
    setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1)
  }
  const timeout = Buffer.alloc(16)
  timeout.writeBigInt64LE(BigInt(Math.floor(options.timeoutMs / 1000)), 0)
  timeout.writeBigInt64LE(BigInt((options.timeoutMs % 1000) * 1000), 8)
  c.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16)
  const buffer = Buffer.alloc(datagramSize)

  function receive(waiting = true): Buffer | null | 'overrun' {
    const length = c.recv(fd, buffer, buffer.length, waiting ? 0 : MSG_DONTWAIT)
    if (length > 0) return buffer.subarray(0, length)
    const errno = koffi.errno()
    if (length === 0 || errno === EAGAIN || errno === EINTR) return null
    if (errno === ENOBUFS) return 'overrun'
    throw failed('recv')
  }

  function send(message: Buffer): void {
    if (c.send(fd, message, message.length, 0) !== message.length) throw failed('send')
  }

  return {
    largeBuffer,
    fd,
    send,
    growSendBuffer(bytes) {
      if (!setOption(SOL_SOCKET, SO_SNDBUFFORCE, bytes)) setOption(SOL_SOCKET, SO_SNDBUF, bytes)
    },
    request(message, what) {
      const sequence = message.readUInt32LE(8)
      message.writeUInt16LE(message.readUInt16LE(6) | flags.ack, 6)
      send(message)
      for (let tries = 0; tries < 100; tries += 1) {
        const datagram = receive()
        if (datagram === null || datagram === 'overrun') continue
        for (const answer of decodeMessages(datagram)) {
          if (answer.type !== types.error || answer.sequence !== sequence) continue
          const errno = errorOf(answer)
          if (errno === 0) return
          throw new MargayError('NETLINK_REFUSED', `the kernel refused ${what} (errno ${errno})`, {
            details: { errno },
          })
        }
      }
      throw new MargayError('NETLINK_FAILED', `no answer to ${what}`)
    },
    receive,
    close: () => void c.close(fd),
  }
}
