// Traffic inside a pod of a system test; run with `ip netns exec POD node traffic.mjs ...`.
//   serve PORT                        echoes TCP and UDP, answers DNS on port 53; prints "ready"
//   stream ADDRESS PORT               sends over TCP and UDP until standard input ends; prints how many went out and came back
//   hold ADDRESS PORT                 opens a TCP connection; each line on standard input is sent, each echo printed
//   ping ADDRESS                      sends one echo request and ends when it is answered; with 124 when it cannot be sent
//   connect ADDRESS PORT              opens a TCP connection; prints "connected", "timed out" or the error's code
//   fire                              sends the first packet of each connection that a line of JSON on standard input names
//   lookup SERVER NAME...             asks for A records and prints the response codes
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import readline from 'node:readline'
import { decode, encode } from 'dns-packet'
import koffi from 'koffi'

const [verb, ...rest] = process.argv.slice(2)

if (verb === 'serve') {
  const port = Number(rest[0])
  const tcp = net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(port, '::')
  const udp = dgram.createSocket('udp6').bind(port, '::')
  udp.on('message', (message, from) => udp.send(message, from.port, from.address))
  const dns = dgram.createSocket('udp6').bind(53, '::')
  dns.on('message', (message, from) => {
    if (message.length < 12) return
    const query = decode(message)
    const name = query.questions[0].name
    const known = name.toLowerCase().startsWith('known')
    const answers = known ? [{ type: 'A', name, ttl: 60, data: '192.0.2.80' }] : []
    const answer = { type: 'response', id: query.id, flags: known ? 0 : 3, questions: query.questions, answers }
    dns.send(encode(answer), from.port, from.address)
  })
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening'), once(dns, 'listening')])
  console.log('ready')
}

if (verb === 'stream') {
  const [address, port] = [rest[0], Number(rest[1])]
  const udp = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4')
  let udpBack = 0
  udp.on('message', () => {
    udpBack += 1
  })
  const tcp = net.connect(port, address)
  let tcpBack = 0
  tcp.on('data', (chunk) => {
    tcpBack += chunk.length
  })
  await once(tcp, 'connect')
  udp.send('first', port, address)
  await once(udp, 'message')
  udpBack = 0
  let isOver = false
  process.stdin.on('end', () => {
    isOver = true
  })
  process.stdin.resume()
  console.log('streaming')
  let count = 0
  while (!isOver) {
    count += 1
    udp.send('0123456789', port, address)
    tcp.write('0123456789')
    if (count % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  for (let i = 0; i < 100 && (udpBack < count || tcpBack < count * 10); i += 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  console.log(JSON.stringify({ sent: count, udp: udpBack, tcp: tcpBack / 10 }))
  udp.close()
  tcp.end()
}

if (verb === 'hold') {
  const tcp = net.connect(Number(rest[1]), rest[0])
  tcp.on('data', (chunk) => console.log(chunk.toString().trim()))
  await once(tcp, 'connect')
  console.log('connected')
  readline.createInterface(process.stdin).on('line', (line) => tcp.write(`${line}\n`))
}

/** A raw socket that sends echo requests; `send` gives false when the request cannot be sent. */
function echoes(to) {
  const isV6 = net.isIPv6(to)
  const libc = koffi.load('libc.so.6')
  const call = (declaration) => libc.func(declaration)
  const [family, protocol, request, reply] = isV6 ? [10, 58, 128, 129] : [2, 1, 8, 0]
  const fd = call('int socket(int, int, int)')(family, 3, protocol)
  const address = Buffer.alloc(isV6 ? 28 : 16)
  address.writeUInt16LE(family, 0)
  call('int inet_pton(int, const char *, void *)')(family, to, address.subarray(isV6 ? 8 : 4))
  const sendto = call('int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)')
  const receive = call('int64_t recv(int, void *, size_t, int)')
  return {
    send(id) {
      const echo = Buffer.alloc(16)
      echo[0] = request
      echo.writeUInt16BE(id, 4)
      // The sum of all words, with its carry; the kernel makes that of ICMPv6.
      const sum = (request << 8) + id
      if (!isV6) echo.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 2)
      return sendto(fd, echo, echo.length, 0, address, address.length) >= 0
    },
    await(id) {
      const answer = Buffer.alloc(2048)
      let message = answer
      do {
        receive(fd, answer, answer.length, 0)
        message = isV6 ? answer : answer.subarray((answer[0] & 0xf) * 4)
      } while (message[0] !== reply || message.readUInt16BE(4) !== id)
    },
  }
}

if (verb === 'connect') {
  const tcp = net.connect({ host: rest[0], port: Number(rest[1]) })
  const end = (text) => {
    console.log(text)
    process.exit(0)
  }
  tcp.on('connect', () => end('connected'))
  tcp.on('error', (error) => end(error.code))
  setTimeout(() => end('timed out'), 1500)
}

if (verb === 'ping') {
  const socket = echoes(rest[0])
  const id = process.pid & 0xffff
  if (!socket.send(id)) process.exit(124)
  socket.await(id)
}

if (verb === 'fire') {
  for await (const line of readline.createInterface(process.stdin)) {
    const { to, protocol, port, sourcePort, fromIp } = JSON.parse(line)
    if (protocol === 'icmp') echoes(to).send(sourcePort)
    else if (protocol === 'udp') {
      const udp = dgram.createSocket(net.isIPv6(to) ? 'udp6' : 'udp4').bind(sourcePort, fromIp)
      await once(udp, 'listening')
      udp.on('error', () => {})
      udp.send('shot', port, to, () => {})
    } else net.connect({ host: to, port, localPort: sourcePort, localAddress: fromIp }).on('error', () => {})
    // A burst would fill the queue of packets that wait for one neighbour's address.
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await new Promise((resolve) => setTimeout(resolve, 250))
  process.exit(0)
}

if (verb === 'lookup') {
  const [server, ...names] = rest
  const udp = dgram.createSocket('udp4')
  for (const [id, name] of names.entries()) {
    udp.send(encode({ type: 'query', id: id + 1, questions: [{ type: 'A', name }] }), 53, server)
    const [message] = await once(udp, 'message')
    console.log(message[3] & 0xf)
  }
  udp.close()
}
