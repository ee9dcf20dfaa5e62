import { callerOf } from '@margay/schemas'
import type { FastifyRequest } from 'fastify'
import type { Actor } from '../resources/audit.ts'

/**
 * Who a request comes from. Name and groups are the caller's own statement (`X-Margay-User`, `X-Margay-Groups`): whoever may use
 * the API at all may use any name, as on the machine's own loopback. Where rights matter, a proxy that knows its users sets both. Control characters are taken out, the length is bounded.
 */
export function actorOf(request: FastifyRequest, now: number): Actor {
  const user = clean(headerOf(request, 'x-margay-user'), 253) || 'anonymous'
  const groups = clean(headerOf(request, 'x-margay-groups'), 4096)
    .split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '')
  return {
    ...callerOf(user, [...(isService(user) ? ['system:services'] : []), ...groups]),
    sourceIps: [request.ip.replace(/^::ffff:(?=\d)/, '')],
    userAgent: clean(request.headers['user-agent'], 512),
    requestUri: request.url.slice(0, 2048),
    receivedAt: now,
  }
}

/** Services of the product have names of their own: `system:lab`. */
const isService = (user: string) => /^system:[a-z-]+$/.test(user) && user !== 'system:anonymous'

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const given = headers[name]
  return Array.isArray(given) ? given[0] : given
}

function clean(text: string | undefined, length: number): string {
  return (text ?? '')
    .replace(/\p{Cc}/gu, '')
    .trim()
    .slice(0, length)
}
