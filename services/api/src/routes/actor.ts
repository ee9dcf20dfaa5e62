import type { FastifyRequest } from 'fastify'
import type { Actor } from '../resources/audit.ts'

/**
 * Who a request comes from. The name is the caller's own statement (`X-Margay-User`): whoever may use the API at all
 * may use any name, as on the machine's own loopback. Control characters are taken out, the length is bounded.
 */
export function actorOf(request: FastifyRequest, now: number): Actor {
  const given = request.headers['x-margay-user']
  const user = clean(Array.isArray(given) ? given[0] : given, 253)
  return {
    user: user === '' ? 'anonymous' : user,
    sourceIps: [request.ip.replace(/^::ffff:(?=\d)/, '')],
    userAgent: clean(request.headers['user-agent'], 512),
    requestUri: request.url.slice(0, 2048),
    receivedAt: now,
  }
}

function clean(text: string | undefined, length: number): string {
  return (text ?? '')
    .replace(/\p{Cc}/gu, '')
    .trim()
    .slice(0, length)
}
