// Traffic inside a pod of a system test of flows; run with `ip netns exec POD node flow-traffic.mjs ...`.
//   flood ADDRESS COUNT                    sends so many datagrams, each to a port of its own from 10000 on
//   transfer ADDRESS PORT COUNT BYTES      so many connections, each sends so many bytes and waits until they have come back
//   keep ADDRESS PORT BYTES                one such connection; prints "done", and stays open until standard input ends
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

const [verb, address, ...numbers] = process.argv.slice(2)

if (verb === 'flood') {
  const socket = dgram.createSocket('udp4')
  const count = Number(numbers[0])
  for (let sent = 0; sent < count; sent += 1) {
    const done = new Promise((resolve, reject) =>
      socket.send('x', 10_000 + sent, address, (error) => (error === null ? resolve() : reject(error))),
    )
    if (sent % 50 === 49) await done
  }
  socket.close()
}

if (verb === 'transfer') {
  const [port, count, bytes] = numbers.map(Number)
  await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = net.connect(port, address)
      await once(socket, 'connect')
      socket.write(Buffer.alloc(bytes))
      let back = 0
      for await (const chunk of socket) {
        back += chunk.length
        if (back >= bytes) break
      }
      socket.destroy()
    }),
  )
}

if (verb === 'keep') {
  const [port, bytes] = numbers.map(Number)
  const socket = net.connect(port, address)
  let back = 0
  socket.on('data', (chunk) => {
    back += chunk.length
    if (back === bytes) console.log('done')
  })
  await once(socket, 'connect')
  socket.write(Buffer.alloc(bytes))
  process.stdin.resume()
  await once(process.stdin, 'end')
  socket.end()
}
