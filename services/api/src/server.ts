import type { AddressInfo } from 'node:net'
import type { Component } from '@margay/kit/component'
import { type Config, readSecret } from '@margay/kit/config'
import { MargayError } from '@margay/kit/errors'
import type { FastifyInstance } from 'fastify'
import { requireSafeListener } from './access.ts'
import { createApp } from './app.ts'
import type { ApiContext } from './context.ts'

/** The API's HTTP server. */
export interface ApiServer extends Component {
  /** Port it listens on; 0 before the start. */
  readonly port: number
}

/**
 * Makes the server; it listens on loopback unless a token protects it.
 * Throws CONFIG_INVALID when it would be open to other machines.
 */
export function createApiServer(
  config: Config['api'],
  deps: { readonly context: ApiContext; readonly consoleDir: string },
): ApiServer {
  const token = config.tokenFile === undefined ? null : readSecret(config.tokenFile)
  requireSafeListener(config.host, token)
  let app: FastifyInstance | undefined
  let port = 0
  return {
    name: 'http',
    get port() {
      return port
    },
    async start() {
      app = await createApp(
        { access: { host: config.host, allowedHosts: config.allowedHosts, token }, consoleDir: deps.consoleDir },
        deps.context,
      )
      await app.listen({ host: config.host, port: config.port }).catch((cause: NodeJS.ErrnoException) => {
        throw new MargayError(
          'ADDRESS_UNAVAILABLE',
          `cannot listen on ${config.host} port ${config.port} (${cause.code}): end what uses it, or set api.port`,
          { cause },
        )
      })
      port = (app.server.address() as AddressInfo).port
      deps.context.reporter.log.info({ host: config.host, port }, 'listening')
    },
    async stop() {
      await app?.close()
    },
  }
}
