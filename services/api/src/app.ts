import { fastifySwagger } from '@fastify/swagger'
import { addOperations } from '@margay/kit/http'
import { bytes, milliseconds, version } from '@margay/schemas'
import { type FastifyInstance, fastify } from 'fastify'
import type { AccessRules } from './access.ts'
import { createAccessCheck } from './access.ts'
import type { ApiContext, Server } from './context.ts'
import { createLive, type LiveOptions, liveDefaults } from './events/live.ts'
import { securityHeaders } from './headers.ts'
import { addProblems, ProblemDocument } from './problem.ts'
import { addAlertRoutes } from './routes/alerts.ts'
import { addConsole } from './routes/console.ts'
import { addEventRoutes } from './routes/events.ts'
import { addKindRoutes } from './routes/kinds.ts'
import { addReportRoutes } from './routes/reports.ts'
import { addResourceRoutes } from './routes/resources.ts'
import { shapes } from './routes/shapes.ts'
import { addSqlRoutes } from './routes/sql.ts'
import { addStatusRoutes } from './routes/status.ts'

/** How the server answers. */
export interface AppOptions {
  readonly access: AccessRules
  /** Folder of the built console. */
  readonly consoleDir: string
  readonly live?: LiveOptions
}

/**
 * The HTTP application: every route behind the access check, described at /openapi.json, errors as problem documents.
 * It listens nowhere; see `server.ts`.
 */
export async function createApp(options: AppOptions, context: ApiContext): Promise<FastifyInstance> {
  const { config, reporter, feeds } = context
  const app = fastify({
    logger: false,
    bodyLimit: bytes(config.api.bodyLimit),
    requestTimeout: milliseconds(config.api.requestTimeout),
    connectionTimeout: 0, // streams stay open; a request's own time is bounded by requestTimeout and deadlines
    keepAliveTimeout: 72_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512 },
    // A misspelt parameter is an error to tell, not to drop.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true } },
  })
  // Answers are built by us; their schemas document them.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  addProblems(app, { reporter })
  addAccess(app, options.access)
  addMeasures(app, reporter)
  for (const shape of [ProblemDocument, ...shapes]) app.addSchema(shape)
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Margay API',
        version,
        description:
          'Resources, events, alerts and reports of a cluster. Errors are problem documents (RFC 9457) with a stable `code`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }, {}],
    },
    refResolver: { buildLocalReference: (schema, _base, _fragment, i) => String(schema.$id ?? `def-${i}`) },
  })
  const live = createLive(options.live ?? liveDefaults, { feeds, reporter })
  const typed = app as unknown as Server
  await app.register(async (scope) => addResourceRoutes(scope as unknown as Server, context))
  addKindRoutes(typed)
  addEventRoutes(typed, context, { live })
  addSqlRoutes(typed, context)
  addStatusRoutes(typed, context)
  addAlertRoutes(typed, context)
  addReportRoutes(typed, context)
  addOperations(app, reporter)
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  addConsole(typed, { dir: options.consoleDir })
  await app.ready()
  return app
}

function addAccess(app: FastifyInstance, rules: AccessRules): void {
  const check = createAccessCheck(rules)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders)
    const path = request.url.split('?', 1)[0] as string
    if (path.startsWith('/v1/')) reply.header('cache-control', 'no-store')
    check({ method: request.method, path, headers: request.headers, localAddress: request.socket.localAddress })
  })
}

function addMeasures(app: FastifyInstance, reporter: ApiContext['reporter']): void {
  const requests = reporter.counter('requests_total', 'requests by operation and class of status', [
    'operation',
    'status',
  ])
  const seconds = reporter.histogram(
    'request_seconds',
    'time to the end of the answer',
    [0.005, 0.025, 0.1, 0.5, 2, 10],
    ['operation'],
  )
  app.addHook('onResponse', async (request, reply) => {
    const operation = (request.routeOptions.schema as { operationId?: string } | undefined)?.operationId ?? 'other'
    requests.inc({ operation, status: `${Math.floor(reply.statusCode / 100)}xx` })
    // A stream lasts as long as its client likes.
    if (reply.getHeader('content-type') !== 'text/event-stream')
      seconds.observe({ operation }, reply.elapsedTime / 1000)
  })
}
