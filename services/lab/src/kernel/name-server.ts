import type { Reporter } from '@margay/kit/reporter'
import { answer } from '../dns/message.ts'
import type { Zone } from '../dns/zone.ts'
import type { Namespaces } from './namespaces.ts'
import { tcpServer, udpSocket } from './sockets.ts'

/** Serves DNS on port 53, UDP and TCP, in a pod's namespace, from a zone that may change. Returns what ends it. */
export function serveDns(
  netns: string,
  zone: () => Zone,
  deps: { readonly namespaces: Namespaces; readonly reporter: Reporter },
): () => void {
  const { namespaces, reporter } = deps
  let turn = 0
  const warn = reporter.sampled()
  const socket = namespaces.within(netns, () => udpSocket(53))
  socket.on('error', (error) => warn({ error: error.message }, 'the name server cannot serve UDP'))
  socket.on('message', (message, from) => {
    const reply = answer(zone(), message, 'udp', turn++)
    if (reply !== null) socket.send(reply, from.port, from.address)
  })
  const server = namespaces.within(netns, () =>
    tcpServer(53, (client) => {
      let received = Buffer.alloc(0)
      client.setTimeout(10_000, () => client.destroy())
      client.on('error', () => client.destroy())
      client.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        // Each message follows its length in two bytes (RFC 1035, 4.2.2).
        while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
          const end = 2 + received.readUInt16BE(0)
          const reply = answer(zone(), received.subarray(2, end), 'tcp', turn++)
          received = received.subarray(end)
          if (reply === null) return client.destroy()
          const length = Buffer.alloc(2)
          length.writeUInt16BE(reply.length)
          client.write(Buffer.concat([length, reply]))
        }
      })
    }),
  )
  server.on('error', (error) => warn({ error: error.message }, 'the name server cannot serve TCP'))
  return () => {
    socket.close()
    server.close()
  }
}
