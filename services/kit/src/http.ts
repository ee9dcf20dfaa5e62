import { rmSync } from 'node:fs'
import { type FastifyInstance, fastify } from 'fastify'
import type { Component } from './component.ts'
import type { Reporter } from './reporter.ts'

/**
 * A service's own small server on a unix socket: `/healthz`, `/readyz`, `/metrics`, and what `routes` adds.
 * Only processes of the same user reach it.
 */
export function createOperationsServer(
  socket: string,
  deps: { readonly reporter: Reporter; readonly routes?: (server: FastifyInstance) => void },
): Component {
  const server = fastify({ logger: false, forceCloseConnections: true })
  addOperations(server, deps.reporter)
  deps.routes?.(server)
  return {
    name: 'operations server',
    async start() {
      rmSync(socket, { force: true })
      await server.listen({ path: socket })
    },
    async stop() {
      await server.close()
      rmSync(socket, { force: true })
    },
  }
}

/** Adds liveness, readiness and metrics to a server. */
export function addOperations(server: FastifyInstance, reporter: Reporter): void {
  server.get('/healthz', { schema: { hide: true } as object }, () => ({ state: 'ok' }))
  server.get('/readyz', { schema: { hide: true } as object }, (_request, reply) => {
    const health = reporter.health()
    return reply.code(health.state === 'down' ? 503 : 200).send(health)
  })
  server.get('/metrics', { schema: { hide: true } as object }, async (_request, reply) =>
    reply.type(reporter.registry.contentType).send(await reporter.registry.metrics()),
  )
}
