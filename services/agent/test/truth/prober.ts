import { closeSync, openSync } from 'node:fs'
import { inNetns, netnsPath } from '@margay/kit/netns'
import koffi from 'koffi'

// A process of its own that opens connections between network namespaces by the hundred, with plain libc calls in one thread. Nobody needs
// to listen: the kernel refuses TCP, answers echo requests, and says that a datagram's port is closed; each of these is an answer.

/** One connection to try. */
export interface ProbeOrder {
  readonly netns: string
  readonly to: string
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  readonly port: number
}

/** What came of it. */
export interface ProbeAnswer {
  readonly answered: boolean
  /** Local port, 0 for ICMP. */
  readonly sourcePort: number
}

/** The prober answers each order by one message with as many answers, in order. */
export interface ProbeBatch {
  readonly probes: readonly ProbeOrder[]
  /** Longest wait for an answer, milliseconds. */
  readonly patienceMs: number
}

const libc = koffi.load('libc.so.6')
const socket = libc.func('int socket(int, int, int)')
const bind = libc.func('int bind(int, const void *, uint32_t)')
const connect = libc.func('int connect(int, const void *, uint32_t)')
const getsockopt = libc.func('int getsockopt(int, int, int, void *, void *)')
const send = libc.func('int64_t send(int, const void *, size_t, int)')
const recv = libc.func('int64_t recv(int, void *, size_t, int)')
const poll = libc.func('int poll(void *, uint64_t, int)')
const close = libc.func('int close(int)')
const inetPton = libc.func('int inet_pton(int, const char *, void *)')

const nonblocking = 0o4000
const readable = 0x1
const writable = 0x4
const failed = 0x18

interface Open {
  readonly fd: number
  readonly order: ProbeOrder
  readonly sourcePort: number
  /** Identifies an echo request. */
  readonly echo: number
  answered: boolean
  isOver: boolean
}

const namespaces = new Map<string, number>()
let echoes = 0
/** Source ports by turns: one that the kernel still remembers with the same other end would be no new connection. */
let nextPort = 10_000

function open(order: ProbeOrder): Open {
  const { netns, to, protocol, port } = order
  let fd = namespaces.get(netns)
  if (fd === undefined) {
    fd = openSync(netnsPath(netns), 'r')
    namespaces.set(netns, fd)
  }
  const isV6 = to.includes(':')
  const family = isV6 ? 10 : 2
  const [kind, number] = protocol === 'tcp' ? [1, 6] : protocol === 'udp' ? [2, 17] : [3, isV6 ? 58 : 1]
  const made = inNetns(fd, () => socket(family, kind | nonblocking, number)) as number
  if (made < 0) throw new Error(`socket failed (errno ${koffi.errno()})`)
  const address = Buffer.alloc(isV6 ? 28 : 16)
  address.writeUInt16LE(family, 0)
  if (protocol !== 'icmp') address.writeUInt16BE(port, 2)
  inetPton(family, to, address.subarray(isV6 ? 8 : 4))
  echoes = (echoes + 1) & 0xffff
  const sourcePort = protocol === 'icmp' ? 0 : bindNext(made, family)
  const opened = { fd: made, order, sourcePort, echo: echoes, answered: false, isOver: false }
  const einprogress = 115
  if ((connect(made, address, address.length) as number) < 0 && koffi.errno() !== einprogress) {
    // An immediate refusal by the own kernel's rules (EPERM, EHOSTUNREACH) is no answer.
    const errno = koffi.errno()
    return { ...opened, answered: errno === 111, isOver: true }
  }
  if (protocol === 'udp') send(made, Buffer.from('x'), 1, 0)
  if (protocol === 'icmp') send(made, echoRequest(isV6, opened.echo), 16, 0)
  return opened
}

/** Gives a socket the next free local port. */
function bindNext(fd: number, family: number): number {
  const address = Buffer.alloc(28)
  address.writeUInt16LE(family, 0)
  for (;;) {
    nextPort = nextPort < 64_000 ? nextPort + 1 : 10_000
    address.writeUInt16BE(nextPort, 2)
    if ((bind(fd, address, family === 10 ? 28 : 16) as number) === 0) return nextPort
  }
}

function echoRequest(isV6: boolean, id: number): Buffer {
  const request = Buffer.alloc(16)
  request[0] = isV6 ? 128 : 8
  request.writeUInt16BE(id, 4)
  const sum = (request[0] << 8) + id
  // The kernel makes the sum of ICMPv6.
  if (!isV6) request.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 2)
  return request
}

const buffer = Buffer.alloc(2048)

/** Looks at a socket that has something to say. */
function look(opened: Open): void {
  const { order, fd } = opened
  const isV6 = order.to.includes(':')
  if (order.protocol === 'icmp') {
    for (
      let size = Number(recv(fd, buffer, buffer.length, 0));
      size > 0;
      size = Number(recv(fd, buffer, buffer.length, 0))
    ) {
      const message = isV6 ? buffer : buffer.subarray(((buffer[0] as number) & 0xf) * 4)
      if (message[0] !== (isV6 ? 129 : 0) || message.readUInt16BE(4) !== opened.echo) continue
      opened.answered = opened.isOver = true
    }
    return
  }
  const error = Buffer.alloc(4)
  getsockopt(fd, 1, 4, error, Buffer.from([4, 0, 0, 0]))
  const errno = error.readInt32LE(0)
  opened.isOver = true
  const refused = 111
  opened.answered = errno === 0 || errno === refused
}

function run({ probes, patienceMs }: ProbeBatch): ProbeAnswer[] {
  const all = probes.map(open)
  const until = Date.now() + patienceMs
  for (;;) {
    const waiting = all.filter(({ isOver }) => !isOver)
    const left = until - Date.now()
    if (waiting.length === 0 || left <= 0) break
    const fds = Buffer.alloc(8 * waiting.length)
    for (const [index, { fd, order }] of waiting.entries()) {
      fds.writeInt32LE(fd, index * 8)
      fds.writeInt16LE(order.protocol === 'tcp' ? writable : readable, index * 8 + 4)
    }
    poll(fds, waiting.length, left)
    for (const [index, opened] of waiting.entries()) {
      const said = fds.readInt16LE(index * 8 + 6)
      if ((said & (readable | writable | failed)) !== 0) look(opened)
    }
  }
  for (const { fd } of all) close(fd)
  return all.map(({ answered, sourcePort }) => ({ answered, sourcePort }))
}

process.on('message', (batch: ProbeBatch) => process.send?.(run(batch)))
process.on('disconnect', () => {
  for (const fd of namespaces.values()) closeSync(fd)
  process.exit()
})
process.send?.('ready')
