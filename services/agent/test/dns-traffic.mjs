// DNS traffic of system tests; run with `ip netns exec POD node dns-traffic.mjs ...`.
//   serve [ADDRESS]              answers DNS on port 53, UDP and TCP, IPv4 and IPv6; prints "ready". Names say their answer:
//                                N.ttlT.DOMAIN  an A record of 10.90.(N/256).(N%256), life T (and an AAAA record of fd90::N)
//                                large.DOMAIN   200 A records, truncated over UDP
//                                junk.DOMAIN    a response whose counts lie
//   echo PORT                    answers UDP datagrams and TCP connections at every address
//   pairs SERVER DOMAIN COUNT FIRST PORT udp|tcp 4|6
//                                looks names up one after the other and sends a packet to each answer at once; prints how many were lost,
//                                and how long look-ups took
//   burst SERVER DOMAIN COUNT FIRST   asks for COUNT names at once; prints how many answers came within a second, and on each
//                                line of standard input how many there are by then
//   send ADDRESS PORT            sends one datagram; prints "answered" or "lost"
//   lookup SERVER NAME TYPE udp|tcp   looks one name up and prints the addresses
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { decode, encode, streamEncode, TRUNCATED_RESPONSE } from 'dns-packet'

const [verb, ...rest] = process.argv.slice(2)

function respond(query, overTcp) {
  const [question] = query.questions
  const [first, life] = question.name.split('.')
  const head = { type: 'response', id: query.id, questions: [question] }
  if (first === 'large') {
    const all = Array.from({ length: 200 }, (_, i) => ({
      type: 'A',
      name: question.name,
      ttl: 60,
      data: `10.90.200.${i}`,
    }))
    return overTcp ? { ...head, answers: all } : { ...head, flags: TRUNCATED_RESPONSE, answers: all.slice(0, 20) }
  }
  const number = Number(first)
  const ttl = Number(life?.slice(3) ?? 60)
  const data =
    question.type === 'AAAA' ? `fd90::${number.toString(16)}` : `10.90.${Math.floor(number / 256)}.${number % 256}`
  return { ...head, answers: [{ type: question.type, name: question.name, ttl, data }] }
}

if (verb === 'serve') {
  const address = rest[0] ?? '::'
  const udp = dgram.createSocket(net.isIPv4(address) ? 'udp4' : 'udp6').bind(53, address)
  udp.on('message', (message, from) => {
    const query = decode(message)
    const bytes = encode(respond(query, false))
    if (query.questions[0].name.startsWith('junk')) bytes.writeUInt16BE(60_000, 6)
    udp.send(bytes, from.port, from.address)
  })
  const tcp = net.createServer((socket) => {
    let received = Buffer.alloc(0)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', async (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      const answer = streamEncode(respond(decode(received.subarray(2)), true))
      received = Buffer.alloc(0)
      // In several segments, as a busy server may.
      for (let at = 0; at < answer.length; at += 1000) {
        socket.write(answer.subarray(at, at + 1000))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
  })
  tcp.listen(53, address)
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')])
  console.log('ready')
}

if (verb === 'echo') {
  const udp = dgram.createSocket('udp6').bind(Number(rest[0]), '::')
  udp.on('message', (message, from) => udp.send(message, from.port, from.address))
  const tcp = net.createServer((socket) => socket.on('error', () => {}).end('x')).listen(Number(rest[0]), '::')
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')])
  console.log('ready')
}

function lookUpUdp(socket, server, id, name, type) {
  socket.send(encode({ type: 'query', id, questions: [{ type, name }] }), 53, server)
  return once(socket, 'message').then(([message]) =>
    name.startsWith('junk') ? [] : decode(message).answers.map(({ data }) => data),
  )
}

async function lookUpTcp(server, id, name, type) {
  const socket = net.connect(53, server)
  socket.setNoDelay(true)
  socket.write(streamEncode({ type: 'query', id, questions: [{ type, name }] }))
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk])
    if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) break
  }
  socket.destroy()
  return decode(received.subarray(2)).answers.map(({ data }) => data)
}

const socketFor = (server) =>
  dgram.createSocket({
    type: net.isIPv6(server) ? 'udp6' : 'udp4',
    lookup: (host, _, done) => done(null, host, net.isIPv6(host) ? 6 : 4),
  })

if (verb === 'lookup') {
  const [server, name, type, transport] = rest
  const socket = socketFor(server)
  const found =
    transport === 'tcp' ? await lookUpTcp(server, 1, name, type) : await lookUpUdp(socket, server, 1, name, type)
  console.log(JSON.stringify(found))
  socket.close()
}

if (verb === 'send') {
  const socket = dgram.createSocket('udp4')
  socket.send('x', Number(rest[1]), rest[0])
  const timer = setTimeout(() => socket.emit('message', 'lost'), 1000)
  const [message] = await once(socket, 'message')
  clearTimeout(timer)
  console.log(message === 'lost' ? 'lost' : 'answered')
  socket.close()
}

if (verb === 'burst') {
  const [server, domain, count, first] = rest
  const socket = socketFor(server)
  let answers = 0
  socket.on('message', () => {
    answers += 1
  })
  for (let i = 0; i < Number(count); i += 1)
    socket.send(
      encode({ type: 'query', id: i, questions: [{ type: 'A', name: `${Number(first) + i}.${domain}` }] }),
      53,
      server,
    )
  await new Promise((resolve) => setTimeout(resolve, 1000))
  console.log(answers)
  process.stdin.on('data', () => console.log(answers))
  process.stdin.on('end', () => socket.close())
}

if (verb === 'pairs') {
  const [server, domain, count, first, port, transport, family] = rest
  const type = family === '6' ? 'AAAA' : 'A'
  const resolver = socketFor(server)
  const socket = dgram.createSocket({
    type: family === '6' ? 'udp6' : 'udp4',
    lookup: (host, _, done) => done(null, host, Number(family)),
  })
  let settle = () => {}
  socket.on('message', () => settle(true))
  const times = []
  const lost = []
  for (let i = 0; i < Number(count); i += 1) {
    const name = `${Number(first) + i}.${domain}`
    const started = performance.now()
    const [address] =
      transport === 'tcp'
        ? await lookUpTcp(server, i & 0xffff, name, type)
        : await lookUpUdp(resolver, server, i & 0xffff, name, type)
    times.push(performance.now() - started)
    // Sent before anything else can happen: what the kernel does not know by now is too late.
    const answered = new Promise((resolve) => {
      settle = resolve
    })
    socket.send('x', Number(port), address)
    const timer = setTimeout(() => settle(false), 1000)
    if (!(await answered)) lost.push(name)
    clearTimeout(timer)
  }
  times.sort((a, b) => a - b)
  const at = (share) => Math.round((times[Math.floor(times.length * share)] ?? 0) * 1000)
  console.log(
    JSON.stringify({ count: times.length, lost: lost.length, some: lost.slice(0, 3), p50: at(0.5), p99: at(0.99) }),
  )
  resolver.close()
  socket.close()
}
