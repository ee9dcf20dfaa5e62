import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'

/** What a listening pod says of itself. */
export interface Greeting {
  readonly name: string
  readonly status: number
}

const idleMs = 60_000
const longestHead = 65_536

/**
 * Serves one connection by what it begins with: a TLS handshake is taken, HTTP/1.1 is answered with the pod's name, and anything
 * else comes back as it was sent.
 */
export function converse(socket: Socket, greeting: Greeting, secure: () => SecureContext): void {
  socket.setTimeout(idleMs, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.once('data', (first) => {
    // A record of a handshake (RFC 8446, 5.1); no text begins so.
    if (first[0] !== 0x16 || first[1] !== 0x03) return speak(socket, greeting, first)
    // What was read goes back, for TLS to read it again; a flowing socket would lose it.
    socket.pause()
    socket.unshift(first)
    const inner = new TLSSocket(socket, { isServer: true, secureContext: secure() })
    inner.on('error', () => socket.destroy())
    inner.once('data', (text) => speak(inner, greeting, text))
  })
}

function speak(socket: Socket, greeting: Greeting, first: Buffer): void {
  let head = ''
  let isHttp: boolean | null = null
  const take = (chunk: Buffer) => {
    if (isHttp === false) {
      socket.write(chunk)
      return
    }
    head += chunk.toString('latin1')
    if (isHttp === null) {
      const line = head.split('\n', 1)[0] ?? ''
      isHttp = /^[A-Z]{3,7} \S+ HTTP\/1\.[01]\r?$/.test(line)
      // The first line may arrive in pieces.
      if (!isHttp && line === head && /^[A-Z]{1,7}( \S*( [HTP/1.]*)?)?$/.test(line)) {
        isHttp = null
        return
      }
      if (!isHttp) {
        socket.write(Buffer.from(head, 'latin1'))
        return
      }
    }
    if (/\r?\n\r?\n/.test(head)) socket.end(answerTo(head, greeting))
    else if (head.length > longestHead) socket.destroy()
  }
  take(first)
  socket.on('data', take)
}

function answerTo(head: string, { name, status }: Greeting): string {
  const body = `${name}\n`
  return [
    `HTTP/1.1 ${status} ${status < 400 ? 'OK' : 'Failed'}`,
    'Content-Type: text/plain',
    `Content-Length: ${body.length}`,
    'Connection: close',
    '',
    head.startsWith('HEAD ') ? '' : body,
  ].join('\r\n')
}
