import type { Socket as UdpSocket } from 'node:dgram'
import type { Server, Socket } from 'node:net'
import type { Reporter } from '@margay/kit/reporter'
import type { LabPort } from '../manifests/port.ts'
import { lazySecureContext } from './certificate.ts'
import { converse, type Greeting } from './conversation.ts'
import type { Namespaces } from './namespaces.ts'
import { tcpServer, udpSocket } from './sockets.ts'

/** Serves the ports of pods: HTTP answers with the pod's name, in TLS too, anything else on TCP and UDP comes back as it was sent. */
export interface Servers {
  /** Opens the ports in a namespace, for IPv6 too if it has that; `owner` closes them again. */
  open(owner: string, netns: string, ports: readonly LabPort[], greeting: Greeting, hasIpv6?: boolean): void
  close(owner: string): void
  closeAll(): void
}

/** Makes the servers of a lab; none listens yet. */
export function createServers(deps: { readonly namespaces: Namespaces; readonly reporter: Reporter }): Servers {
  const { namespaces, reporter } = deps
  const secure = lazySecureContext(() => new Date())
  const opened = new Map<string, (() => void)[]>()
  const taken = reporter.counter('connections_accepted_total', 'connections and datagrams that pods took', ['protocol'])
  const refused = reporter.counter('ports_refused_total', 'ports of pods that could not be opened')

  function openTcp(netns: string, port: number, greeting: Greeting): () => void {
    const sockets = new Set<Socket>()
    const server: Server = namespaces.within(netns, () =>
      tcpServer(port, (socket) => {
        taken.inc({ protocol: 'tcp' })
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
        converse(socket, greeting, secure)
      }),
    )
    server.on('error', (error) => {
      refused.inc()
      reporter.log.warn({ pod: greeting.name, port, error: error.message }, 'a port of a pod could not be opened')
    })
    return () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }

  function openUdp(netns: string, port: number, greeting: Greeting, hasIpv6: boolean): () => void {
    const socket: UdpSocket = namespaces.within(netns, () => udpSocket(port, hasIpv6 ? '::' : '0.0.0.0'))
    socket.on('message', (message, from) => {
      taken.inc({ protocol: 'udp' })
      socket.send(message, from.port, from.address)
    })
    socket.on('error', (error) => {
      refused.inc()
      reporter.log.warn({ pod: greeting.name, port, error: error.message }, 'a port of a pod could not be opened')
    })
    return () => socket.close()
  }

  const close = (owner: string) => {
    for (const end of opened.get(owner) ?? []) end()
    opened.delete(owner)
  }
  return {
    open(owner, netns, ports, greeting, hasIpv6 = false) {
      const ends = opened.get(owner) ?? []
      for (const { protocol, port } of ports) {
        if (protocol === 'TCP') ends.push(openTcp(netns, port, greeting))
        if (protocol === 'UDP') ends.push(openUdp(netns, port, greeting, hasIpv6))
      }
      opened.set(owner, ends)
    },
    close,
    closeAll() {
      for (const owner of [...opened.keys()]) close(owner)
    },
  }
}
