import { isIP } from 'node:net'
import dnsPacket from 'dns-packet'
import { searchNames } from '../dns/zone.ts'
import type { Caller } from '../network.ts'
import type { Namespaces } from './namespaces.ts'
import { tcpSocket, udpSocket } from './sockets.ts'

/** Why a name has no address: `ENOTFOUND` no such name, `EAI_AGAIN` the name server did not answer. */
class ResolveError extends Error {
  override readonly name = 'ResolveError'
  readonly code: 'ENOTFOUND' | 'EAI_AGAIN'
  constructor(code: 'ENOTFOUND' | 'EAI_AGAIN', message: string) {
    super(message)
    this.code = code
  }
}

/** Asks the cluster's name server from inside a pod, as the pod's own C library would: search domains, UDP, then TCP. */
export interface Resolver {
  /** IPv4 addresses, in the order of the answer; an address stands for itself. Rejects with a ResolveError. */
  resolve(caller: Caller, name: string): Promise<string[]>
}

const tries = 2

/** Makes the resolver of a pod. */
export function createResolver(
  config: { readonly timeoutMs: number },
  deps: { readonly namespaces: Namespaces; readonly server: () => string; readonly random: () => number },
): Resolver {
  const { namespaces, server, random } = deps

  const encode = (name: string) => {
    const id = Math.floor(random() * 65_536)
    const flags = dnsPacket.RECURSION_DESIRED
    return { id, bytes: dnsPacket.encode({ type: 'query', id, flags, questions: [{ type: 'A', name }] }) }
  }

  function overUdp(netns: string, name: string): Promise<dnsPacket.DecodedPacket | null> {
    const { id, bytes } = encode(name)
    const socket = namespaces.within(netns, () => udpSocket(0))
    return new Promise((resolve) => {
      let sent = 0
      const end = (packet: dnsPacket.DecodedPacket | null) => {
        clearInterval(timer)
        socket.removeAllListeners('message')
        socket.close()
        resolve(packet)
      }
      const send = () => {
        if (sent++ === tries) end(null)
        else socket.send(bytes, 53, server(), () => {})
      }
      const timer = setInterval(send, config.timeoutMs)
      socket.on('error', () => end(null))
      socket.on('message', (message) => {
        const packet = decode(message)
        if (packet?.id === id) end(packet)
      })
      send()
    })
  }

  function overTcp(netns: string, name: string): Promise<dnsPacket.DecodedPacket | null> {
    const { bytes } = encode(name)
    const socket = namespaces.within(netns, tcpSocket)
    return new Promise((resolve) => {
      let received = Buffer.alloc(0)
      const end = (packet: dnsPacket.DecodedPacket | null) => {
        socket.destroy()
        resolve(packet)
      }
      socket.setTimeout(config.timeoutMs * tries, () => end(null))
      socket.on('error', () => end(null))
      socket.on('close', () => end(null))
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) end(decode(received.subarray(2)))
      })
      socket.connect({ host: server(), port: 53 }, () => {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(bytes.length)
        socket.write(Buffer.concat([length, bytes]))
      })
    })
  }

  return {
    async resolve(caller, name) {
      if (isIP(name) !== 0) return [name]
      for (const candidate of searchNames(name, caller.namespace)) {
        let packet = await overUdp(caller.netns, candidate)
        if (packet?.flag_tc) packet = await overTcp(caller.netns, candidate)
        if (packet === null)
          throw new ResolveError('EAI_AGAIN', `the name server ${server()} does not answer for ${candidate}`)
        const addresses = (packet.answers ?? []).flatMap((record) => (record.type === 'A' ? [record.data] : []))
        if (addresses.length > 0) return addresses
      }
      throw new ResolveError('ENOTFOUND', `no such name: ${name}`)
    },
  }
}

function decode(message: Buffer): dnsPacket.DecodedPacket | null {
  try {
    return dnsPacket.decode(message)
  } catch {
    return null
  }
}
