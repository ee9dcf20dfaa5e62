import { X509Certificate } from 'node:crypto'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selfSigned } from '../src/kernel/certificate.ts'
import { converse } from '../src/kernel/conversation.ts'

const identity = selfSigned('a pod', new Date('2030-05-05T00:00:00Z'))
let server: Server
let port = 0
beforeAll(async () => {
  const secure = createSecureContext(identity)
  server = createServer((socket) => converse(socket, { name: 'web-1', status: 418 }, () => secure))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as { port: number }).port
})
afterAll(() => server.close())

/** Sends pieces one after another and returns what came back when the other side is done, or has sent `enough`. */
function exchange(socket: Socket, pieces: readonly string[], enough = Number.POSITIVE_INFINITY): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += chunk
      if (text.length >= enough) socket.destroy()
    })
    socket.on('close', () => resolve(text))
    const send = (i: number) => {
      if (i === pieces.length) return
      socket.write(pieces[i] as string, () => setTimeout(send, 5, i + 1))
    }
    send(0)
  })
}
const plain = () => connectTcp(port, '127.0.0.1')

describe('a listening pod', () => {
  it('answers HTTP with its name and status, also when the request comes in pieces', async () => {
    const answer = await exchange(plain(), ['GET / HTTP/1.1\r\nHost: a\r\n\r\n'])
    expect(answer).toBe(
      'HTTP/1.1 418 Failed\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nweb-1\n',
    )
    expect(await exchange(plain(), ['G', 'ET /a/b', ' HT', 'TP/1.1\r\nHo', 'st: a\r\n', '\r\n'])).toBe(answer)
    expect(await exchange(plain(), ['HEAD / HTTP/1.1\r\n\r\n'])).toBe(answer.replace('web-1\n', ''))
  })

  it('sends anything else back', async () => {
    for (const text of ['PING\r\n', '*1\r\n$4\r\nPING\r\n', 'hello', '\0\u0001\u0002'])
      expect(await exchange(plain(), [text], text.length), JSON.stringify(text)).toBe(text)
    expect(await exchange(plain(), ['one\n', 'two\n'], 8)).toBe('one\ntwo\n')
  })

  it('speaks TLS with a certificate of its own', async () => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    expect(await exchange(socket, ['GET / HTTP/1.1\r\n\r\n'])).toMatch(/^HTTP\/1\.1 418 .*web-1\n$/s)
    const certificate = new X509Certificate(identity.cert)
    expect([certificate.subject, certificate.issuer]).toEqual(['CN=a pod', 'CN=a pod'])
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2040)
  })
})
