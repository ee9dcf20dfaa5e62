import koffi from 'koffi'

// Plain sockets by libc calls, so that what is measured is the kernel and not Node:
//   plain-traffic.ts accept PORT                   accepts and closes TCP connections; prints "ready"
//   plain-traffic.ts echo PORT                     reads UDP, and answers what begins with 1; prints "ready"
//   plain-traffic.ts packets ADDRESS PORT COUNT    one UDP conversation; prints CPU nanoseconds for a packet that is sent
//   plain-traffic.ts connections ADDRESS PORT COUNT   connects and closes; prints CPU nanoseconds for a connection

const libc = koffi.load('libc.so.6')
const socket = libc.func('int socket(int, int, int)')
const bind = libc.func('int bind(int, const void *, uint32_t)')
const connect = libc.func('int connect(int, const void *, uint32_t)')
const listen = libc.func('int listen(int, int)')
const accept = libc.func('int accept(int, void *, void *)')
const send = libc.func('int64_t send(int, const void *, size_t, int)')
const recv = libc.func('int64_t recv(int, void *, size_t, int)')
const sendto = libc.func('int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)')
const recvfrom = libc.func('int64_t recvfrom(int, void *, size_t, int, void *, void *)')
const setsockopt = libc.func('int setsockopt(int, int, int, const void *, uint32_t)')
const close = libc.func('int close(int)')

const inet = 2
const [stream, datagram] = [1, 2]
const payload = Buffer.alloc(64)

function addressOf(ip: string, port: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(inet, 0)
  bytes.writeUInt16BE(port, 2)
  for (const [index, part] of ip.split('.').entries()) bytes[4 + index] = Number(part)
  return bytes
}

function must(result: number, what: string): number {
  if (result < 0) throw new Error(`${what} failed (errno ${koffi.errno()})`)
  return result
}

function bound(kind: number, port: number): number {
  const fd = must(socket(inet, kind, 0), 'socket')
  const yes = Buffer.from([1, 0, 0, 0])
  setsockopt(fd, 1, 2, yes, 4)
  must(bind(fd, addressOf('0.0.0.0', port), 16), 'bind')
  return fd
}

const [verb, host, ...numbers] = process.argv.slice(2)
if (verb === 'accept') {
  const fd = bound(stream, Number(host))
  must(listen(fd, 512), 'listen')
  process.stdout.write('ready\n')
  for (;;) close(must(accept(fd, null, null), 'accept'))
}
if (verb === 'echo') {
  const fd = bound(datagram, Number(host))
  const from = Buffer.alloc(16)
  const length = Buffer.from([16, 0, 0, 0])
  process.stdout.write('ready\n')
  for (;;) {
    const size = Number(recvfrom(fd, payload, payload.length, 0, from, length))
    if (payload[0] === 1) sendto(fd, payload, size, 0, from, 16)
  }
}

const [port = 0, count = 0] = numbers.map(Number)
const to = addressOf(host as string, port)

function measure(what: () => void): void {
  const before = process.cpuUsage()
  for (let index = 0; index < count; index += 1) what()
  const { user, system } = process.cpuUsage(before)
  console.log(((user + system) * 1000) / count)
}

if (verb === 'packets') {
  const fd = must(socket(inet, datagram, 0), 'socket')
  must(connect(fd, to, 16), 'connect')
  const patience = Buffer.alloc(16)
  patience.writeBigInt64LE(1n, 0)
  setsockopt(fd, 1, 20, patience, 16)
  payload[0] = 1
  for (let answered = 0; answered < 3; answered += 1) {
    send(fd, payload, payload.length, 0)
    must(Number(recv(fd, payload, payload.length, 0)), 'the first datagrams')
  }
  payload[0] = 0
  measure(() => send(fd, payload, payload.length, 0))
} else if (verb === 'connections') {
  const byte = Buffer.alloc(1)
  measure(() => {
    const fd = socket(inet, stream, 0)
    must(connect(fd, to, 16), 'connect')
    // The server closes first, so that its end and not a local port waits.
    recv(fd, byte, 1, 0)
    close(fd)
  })
}
