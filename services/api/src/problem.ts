import { MargayError, messageOf } from '@margay/kit/errors'
import type { Reporter } from '@margay/kit/reporter'
import type { FastifyError, FastifyInstance } from 'fastify'
import { Type } from 'typebox'

/** An error as clients see it: RFC 9457, with our code. */
export const ProblemDocument = Type.Object(
  {
    type: Type.String({ description: 'about:blank' }),
    title: Type.String({ description: 'name of the HTTP status' }),
    status: Type.Integer(),
    code: Type.String({ description: 'stable code, see the catalogue of errors' }),
    detail: Type.String({ description: 'what failed, on which thing, what to do' }),
    instance: Type.String({ description: 'id of the request, as in the log' }),
  },
  { $id: 'ProblemDocument', additionalProperties: true, description: 'RFC 9457 problem document' },
)

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Content too large',
  415: 'Unsupported media type',
  421: 'Misdirected request',
  422: 'Unprocessable content',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Service unavailable',
  504: 'Gateway timeout',
}

/** Turns whatever a route throws into an error of the catalogue; what is not for clients becomes INTERNAL. */
function clientErrorOf(error: unknown): MargayError {
  if (error instanceof MargayError) {
    // Adapters do not know of HTTP: a dependency that does not answer is 503, not a defect.
    if (error.status === 500 && error.code.endsWith('_UNAVAILABLE')) {
      return new MargayError(error.code, error.message, { status: 503, cause: error, details: { ...error.details } })
    }
    if (error.status !== 500) return error
  }
  const { code, statusCode } = error as Partial<FastifyError>
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new MargayError('BODY_TOO_LARGE', 'the request body is larger than api.bodyLimit: send fewer documents', {
      status: 413,
    })
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new MargayError('REQUEST_INVALID', messageOf(error), { status: statusCode })
  }
  return new MargayError('INTERNAL', 'the API failed on this request; its log says why under the same request id', {
    status: 500,
    cause: error,
  })
}

/** Answers errors and unknown routes with problem documents; what went wrong inside is logged, once, and not told. */
export function addProblems(server: FastifyInstance, { reporter }: { readonly reporter: Reporter }): void {
  server.setErrorHandler((error, request, reply) => {
    const { status, code, message, details, cause } = clientErrorOf(error)
    if (status >= 500 && cause !== undefined) {
      const stack = error instanceof Error ? error.stack : undefined
      reporter.log.error({ request: request.id, code, error: messageOf(error), stack }, 'request failed')
    }
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    return reply
      .code(status)
      .type('application/problem+json')
      .send({
        type: 'about:blank',
        title: titles[status] ?? 'Error',
        status,
        code,
        detail: message,
        instance: request.id,
        ...details,
      })
  })
}

/** The error of a path that leads nowhere. */
export function notFound(what: string): MargayError {
  return new MargayError('NOT_FOUND', `there is no ${what}`, { status: 404 })
}
