import type { FastifyReply } from 'fastify'

/** Aborts after a time, or when the client leaves before its answer: what it asked for is then not computed to the end. */
export function deadline(reply: FastifyReply, ms: number): AbortSignal {
  const left = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) left.abort(new DOMException('the client left', 'AbortError'))
  })
  return AbortSignal.any([left.signal, AbortSignal.timeout(ms)])
}
