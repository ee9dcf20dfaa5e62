import type { Socket as UdpSocket } from 'node:dgram'
import type { Server, Socket } from 'node:net'
import type { Reporter } from '@margay/kit/reporter'
import type { LabPort } from '../manifests/port.ts'
import type { Namespaces } from './namespaces.ts'
import { tcpServer, udpSocket } from './sockets.ts'

/** What a listening pod says of itself. */
export interface Greeting {
  readonly name: string
  readonly status: number
}

/** Serves the ports of pods: HTTP answers with the pod's name, anything else on TCP and UDP comes back as it was sent. */
export interface Servers {
  /** Opens the ports in a namespace; `owner` closes them again. */
  open(owner: string, netns: string, ports: readonly LabPort[], greeting: Greeting): void
  close(owner: string): void
  closeAll(): void
}

const idleMs = 60_000

export function createServers(deps: { readonly namespaces: Namespaces; readonly reporter: Reporter }): Servers {
  const { namespaces, reporter } = deps
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
        talk(socket, greeting)
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

  function openUdp(netns: string, port: number, greeting: Greeting): () => void {
    const socket: UdpSocket = namespaces.within(netns, () => udpSocket(port))
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
    open(owner, netns, ports, greeting) {
      const ends = opened.get(owner) ?? []
      for (const { protocol, port } of ports) {
        if (protocol === 'TCP') ends.push(openTcp(netns, port, greeting))
        if (protocol === 'UDP') ends.push(openUdp(netns, port, greeting))
      }
      opened.set(owner, ends)
    },
    close,
    closeAll() {
      for (const owner of [...opened.keys()]) close(owner)
    },
  }
}

/** Speaks HTTP/1.1 to who begins with a request, and echoes everything to anybody else. */
function talk(socket: Socket, greeting: Greeting): void {
  let head = ''
  let isHttp: boolean | null = null
  socket.setTimeout(idleMs, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    if (isHttp === null) {
      head += chunk.toString('latin1')
      // A method may arrive in pieces, but no method is longer than this.
      if (head.length < 12 && /^[A-Z]+ ?\S*$/.test(head)) return
      isHttp = /^[A-Z]{3,7} \S+ HTTP\/1\.[01]\r?\n/.test(head) || /^[A-Z]{3,7} \S*$/.test(head.split('\n', 1)[0] ?? '')
      if (!isHttp) {
        socket.write(Buffer.from(head, 'latin1'))
        return
      }
    } else if (isHttp) head += chunk.toString('latin1')
    else {
      socket.write(chunk)
      return
    }
    if (!/\r?\n\r?\n/.test(head)) {
      if (head.length > 65_536) socket.destroy()
      return
    }
    const body = head.startsWith('HEAD ') ? '' : `${greeting.name}\n`
    socket.end(
      `HTTP/1.1 ${greeting.status} ${reason(greeting.status)}\r\nContent-Type: text/plain\r\nContent-Length: ${greeting.name.length + 1}\r\nConnection: close\r\n\r\n${body}`,
    )
  })
}

const reason = (status: number) =>
  status < 300 ? 'OK' : status < 400 ? 'Redirected' : status < 500 ? 'Refused' : 'Failed'
