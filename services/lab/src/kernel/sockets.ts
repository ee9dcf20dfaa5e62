import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, isIPv6, type Server, Socket } from 'node:net'
import { openTcpSocket } from '@margay/kit/netns'

/**
 * Sockets that are made at once, in the network namespace that the thread is in. Node's own ways ask a resolver first,
 * even for an address, and would make the socket after the namespace was left.
 */

/** A TCP socket for an address family, not yet connected. */
export function tcpSocket(family: 4 | 6 = 4): Socket {
  return new Socket({ fd: openTcpSocket(family), readable: true, writable: true, allowHalfOpen: false })
}

/** A TCP server that listens on every address. Throws what `listen` reports at once (EADDRINUSE arrives as an event). */
export function tcpServer(port: number, serve: (socket: Socket) => void): Server {
  const server = createServer({ noDelay: true }, serve)
  server.listen(port)
  return server
}

/** A UDP socket bound to a port, 0 for any, of one address or all; `::` stands for those of IPv4 too. */
export function udpSocket(port: number, address = '0.0.0.0'): UdpSocket {
  const family = isIPv6(address) ? 6 : 4
  const socket = createSocket({ type: `udp${family}`, lookup: (host, _options, done) => done(null, host, family) })
  socket.bind({ port, address, exclusive: true })
  return socket
}
