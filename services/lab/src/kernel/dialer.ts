import { isIPv6 } from 'node:net'
import { messageOf } from '@margay/kit/errors'
import dnsPacket from 'dns-packet'
import type { Caller, Contact, Target } from '../network.ts'
import type { Namespaces } from './namespaces.ts'
import type { Resolver } from './resolver.ts'
import { tcpSocket, udpSocket } from './sockets.ts'

/** Opens one fresh connection from inside a namespace; never rejects. */
export type Dialer = (caller: Caller, target: Target) => Promise<Contact>

/** Name servers answer nothing but questions: this one is about the root. */
const dnsQuestion = dnsPacket.encode({ type: 'query', id: 1, questions: [{ type: 'NS', name: '.' }] })

type Outcome = Omit<Contact, 'address' | 'latencyMs'> & { readonly address?: never }

/** Makes the dialer of a lab. */
export function createDialer(deps: {
  readonly namespaces: Namespaces
  readonly resolver: Resolver
  /** Milliseconds that only grow. */
  readonly clock: () => number
}): Dialer {
  const { namespaces, resolver, clock } = deps

  function tcp(caller: Caller, address: string, target: Target): Promise<Outcome & { at: number }> {
    const socket = namespaces.within(caller.netns, () => tcpSocket(isIPv6(address) ? 6 : 4))
    const from = caller.isBound ? { localAddress: caller.ip } : {}
    return new Promise((resolve) => {
      let at: number | null = null
      let sourcePort: number | null = null
      const end = (error: string | null) => {
        clearTimeout(timer)
        sourcePort ??= socket.localPort ?? null // not read before `connect`: Node remembers what it saw first
        socket.destroy()
        resolve({ ok: error === null, sourcePort, error, at: at ?? clock() })
      }
      const timer = setTimeout(() => end(at === null ? 'timed out' : null), target.timeoutMs)
      socket.on('error', (error) => end(at === null ? refusal(error) : null))
      socket.on('close', () => end(at === null ? 'closed' : null))
      socket.connect({ host: address, port: target.port ?? 0, ...from }, () => {
        at = clock()
        sourcePort = socket.localPort ?? null
        // The answer is read to its end, so that the connection carries bytes both ways.
        socket.resume()
        if (target.scheme === 'tcp') return void socket.end('margay lab\n')
        const { host, path = '/' } = target
        socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: margay-lab\r\nConnection: close\r\n\r\n`)
      })
    })
  }

  function udp(caller: Caller, address: string, target: Target): Promise<Outcome & { at: number }> {
    const own = caller.isBound ? caller.ip : isIPv6(address) ? '::' : undefined
    const socket = namespaces.within(caller.netns, () => udpSocket(0, own))
    const sourcePort = socket.address().port
    return new Promise((resolve) => {
      const end = (error: string | null) => {
        clearTimeout(timer)
        socket.close()
        resolve({ ok: error === null, sourcePort, error, at: clock() })
      }
      const timer = setTimeout(() => end('timed out'), target.timeoutMs)
      socket.once('error', (error) => end(refusal(error)))
      socket.once('message', () => end(null))
      socket.send(target.port === 53 ? dnsQuestion : 'margay lab', target.port ?? 0, address, (error) => {
        if (error !== null) end(refusal(error))
      })
    })
  }

  return async (caller, target) => {
    const begun = clock()
    const failed = (error: string, address: string | null): Contact => ({
      ok: false,
      address,
      sourcePort: null,
      latencyMs: clock() - begun,
      error,
    })
    let address: string
    try {
      address = (await resolver.resolve(caller, target.host))[0] as string
    } catch (error) {
      return failed(messageOf(error), null)
    }
    if (target.scheme === 'dns') return { ok: true, address, sourcePort: null, latencyMs: clock() - begun, error: null }
    const dialed = clock()
    try {
      const { at, ...outcome } = await (target.scheme === 'udp' ? udp : tcp)(caller, address, target)
      return { ...outcome, address, latencyMs: at - dialed }
    } catch (error) {
      return failed(messageOf(error), address)
    }
  }
}

function refusal(error: Error & { code?: string }): string {
  if (error.code === 'ECONNREFUSED') return 'refused'
  if (error.code === 'EHOSTUNREACH' || error.code === 'ENETUNREACH') return 'unreachable'
  return error.code ?? error.message
}
