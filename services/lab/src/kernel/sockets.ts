import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, Socket } from 'node:net'
import { openTcpSocket } from '@margay/kit/netns'

/**
 * Sockets that are made at once, in the network namespace that the thread is in. Node's own ways ask a resolver first,
 * even for an address, and would make the socket after the namespace was left.
 */

/** A TCP socket that is not yet connected. */
export function tcpSocket(): Socket {
  return new Socket({ fd: openTcpSocket(), readable: true, writable: true, allowHalfOpen: false })
}

/** A TCP server that listens on every address. Throws what `listen` reports at once (EADDRINUSE arrives as an event). */
export function tcpServer(port: number, serve: (socket: Socket) => void): Server {
  const server = createServer({ noDelay: true }, serve)
  server.listen(port)
  return server
}

/** A UDP socket bound to a port, 0 for any, of one address or all. */
export function udpSocket(port: number, address = '0.0.0.0'): UdpSocket {
  const socket = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) })
  socket.bind({ port, address, exclusive: true })
  return socket
}
