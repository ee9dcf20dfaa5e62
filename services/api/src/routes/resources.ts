import { MargayError } from '@margay/kit/errors'
import { findKind, type Kind, keyOf, type Resource } from '@margay/schemas'
import { Type } from 'typebox'
import type { ApiContext, Server } from '../context.ts'
import { notFound } from '../problem.ts'
import { nameOf, namespaceOf } from '../resources/admission.ts'
import { readDocuments } from '../resources/documents.ts'
import { parseLabelSelector } from '../resources/label-selector.ts'
import type { Outcome } from '../resources/plan.ts'
import type { WriteResult } from '../resources/store.ts'
import { actorOf } from './actor.ts'
import { createPermission } from './permission.ts'
import { problems } from './shapes.ts'

const tags = ['resources']
const Named = Type.Object({ plural: Type.String(), name: Type.String() })
const Namespace = Type.Optional(Type.String({ description: 'namespace; default when absent' }))
const DryRun = Type.Optional(Type.Boolean({ default: false, description: 'work out the result, write nothing' }))
const yaml = ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/plain', 'application/json']

/** Resources: read, create or replace, delete; and apply or delete many documents at once. */
export function addResourceRoutes(server: Server, { store, guard, now }: ApiContext): void {
  const permission = createPermission({ store, guard, now })
  // Documents keep their text until the reader of resources has them: it tells file and line.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(yaml, { parseAs: 'string' }, (_request, text, done) => done(null, text))

  server.route({
    method: 'GET',
    url: '/v1/resources/:plural',
    schema: {
      operationId: 'listResources',
      tags,
      summary: 'List the resources of a kind',
      params: Type.Object({ plural: Type.String({ description: 'plural, short name, kind or plural.group' }) }),
      querystring: Type.Object(
        {
          namespace: Type.Optional(Type.String({ description: 'all namespaces when absent' })),
          labelSelector: Type.Optional(Type.String({ description: 'Kubernetes label selector' })),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({
          apiVersion: Type.Literal('v1'),
          kind: Type.Literal('List'),
          metadata: Type.Object({ resourceVersion: Type.String() }),
          items: Type.Array(Type.Ref('Resource')),
        }),
        ...problems(400, 403, 404),
      },
    },
    async handler(request) {
      const kind = kindOf(request.params.plural)
      const { namespace, labelSelector } = request.query
      const plural = pluralOfKind(kind)
      const within = kind.namespaced ? (namespace ?? null) : null
      const wanted = { plural, namespace: within, tier: tierAsked(labelSelector) }
      const shows = await permission.toList(request, wanted)
      const matches = labelSelector === undefined ? null : parseLabelSelector(labelSelector)
      const items = store
        .list(plural)
        .filter(({ metadata }) => namespace === undefined || !kind.namespaced || metadata.namespace === namespace)
        .filter(({ metadata }) => matches === null || matches(metadata.labels ?? {}))
        .filter(shows)
        .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
      return {
        apiVersion: 'v1' as const,
        kind: 'List' as const,
        metadata: { resourceVersion: String(store.version) },
        items,
      }
    },
  })

  server.route({
    method: 'GET',
    url: '/v1/resources/:plural/:name',
    schema: {
      operationId: 'getResource',
      tags,
      summary: 'Read one resource',
      params: Named,
      querystring: Type.Object({ namespace: Namespace }, { additionalProperties: false }),
      response: { 200: Type.Ref('Resource'), ...problems(403, 404) },
    },
    async handler(request, reply) {
      const kind = kindOf(request.params.plural)
      const key = keyIn(kind, request.params.name, request.query.namespace)
      await permission.toTouch(request, { verb: 'get', key })
      const resource = store.get(key)
      if (resource === null) throw notFound(`${kind.kind} ${describe(key)}`)
      reply.header('etag', `"${resource.metadata.resourceVersion}"`)
      return resource
    },
  })

  server.route({
    method: 'PUT',
    url: '/v1/resources/:plural/:name',
    schema: {
      operationId: 'putResource',
      tags,
      summary: 'Create or replace one resource; with metadata.resourceVersion, only that version',
      consumes: yaml,
      params: Named,
      querystring: Type.Object({ namespace: Namespace, dryRun: DryRun }, { additionalProperties: false }),
      body: Type.String({ description: 'one document, YAML or JSON' }),
      response: { '2xx': Type.Ref('WriteOutcome'), ...problems(400, 403, 404, 409, 413, 422, 503) },
    },
    async handler(request, reply) {
      const kind = kindOf(request.params.plural)
      const key = keyIn(kind, request.params.name, request.query.namespace)
      const read = readDocuments(request.body)
      const hasErrors = read.problems.some(({ severity }) => severity === 'error')
      if (!hasErrors && (read.documents.length !== 1 || read.documents[0]?.key !== key)) {
        throw new MargayError(
          'REQUEST_INVALID',
          `the body must be one ${kind.kind} ${describe(key)}, as the path says; it holds ${read.documents.map((document) => document.key).join(', ') || 'nothing'}`,
          { status: 400 },
        )
      }
      const written = await store.write({
        ...read,
        operation: 'put',
        actor: actorOf(request, now()),
        dryRun: request.query.dryRun === true,
      })
      const [outcome] = written.outcomes as [Outcome]
      return reply.code(outcome.result === 'created' ? 201 : 200).send(answerOf(outcome))
    },
  })

  server.route({
    method: 'DELETE',
    url: '/v1/resources/:plural/:name',
    schema: {
      operationId: 'deleteResource',
      tags,
      summary: 'Delete one resource',
      params: Named,
      querystring: Type.Object({ namespace: Namespace, dryRun: DryRun }, { additionalProperties: false }),
      response: { 200: Type.Ref('WriteOutcome'), ...problems(403, 404, 409, 503) },
    },
    async handler(request) {
      const kind = kindOf(request.params.plural)
      const key = keyIn(kind, request.params.name, request.query.namespace)
      const resource = store.get(key)
      if (resource === null) {
        // Who may not delete it is not told that it does not exist.
        await permission.toTouch(request, { verb: 'delete', key })
        throw notFound(`${kind.kind} ${describe(key)}`)
      }
      const written = await store.write({
        operation: 'delete',
        documents: [{ key, resource }],
        problems: [],
        actor: actorOf(request, now()),
        dryRun: request.query.dryRun === true,
      })
      const outcome = written.outcomes.find((one) => one.key === key) as Outcome
      if (outcome.result === 'not-found') throw notFound(`${kind.kind} ${describe(key)}`)
      return answerOf(outcome)
    },
  })

  for (const operation of ['apply', 'delete'] as const) {
    server.route({
      method: 'POST',
      url: `/v1/${operation}`,
      schema: {
        operationId: `${operation}Documents`,
        tags,
        summary:
          operation === 'apply'
            ? 'Create or change every resource of the documents, or none'
            : 'Delete every resource of the documents, or none',
        consumes: yaml,
        querystring: Type.Object(
          { dryRun: DryRun, file: Type.Optional(Type.String({ description: 'name to show in problems' })) },
          { additionalProperties: false },
        ),
        body: Type.String({ description: 'any number of documents, YAML or JSON' }),
        response: { 200: Type.Ref('WriteAnswer'), ...problems(400, 403, 409, 413, 422, 503) },
      },
      async handler(request) {
        const { dryRun, file } = request.query
        const written = await store.write({
          ...readDocuments(request.body, file),
          operation,
          actor: actorOf(request, now()),
          dryRun: dryRun === true,
        })
        return writeAnswer(written)
      },
    })
  }
}

const writeAnswer = ({ outcomes, warnings }: WriteResult) => ({
  results: outcomes.map(answerOf),
  warnings: [...warnings],
})

function answerOf({ key, result, before, after }: Outcome) {
  const resource = after ?? before
  return {
    key,
    kind: resource?.kind ?? findKind(key.slice(0, key.indexOf('/')))?.kind ?? '',
    namespace: namespaceOf(key),
    name: nameOf(key),
    result,
    ...(resource === null ? {} : { resource }),
    ...(before === null || result === 'unchanged' ? {} : { before }),
  }
}

function kindOf(name: string): Kind {
  const kind = findKind(name)
  if (kind !== null) return kind
  throw new MargayError('KIND_UNKNOWN', `there is no kind ${JSON.stringify(name)}: GET /v1/kinds lists them`, {
    status: 404,
  })
}

/** Key of the named resource; keys are made by `keyOf` alone, so a bare object of the kind asks it. */
function keyIn(kind: Kind, name: string, namespace: string | undefined): string {
  return keyOf({
    apiVersion: kind.apiVersions[0] as string,
    kind: kind.kind,
    metadata: { name, ...(kind.namespaced ? { namespace: namespace ?? 'default' } : {}) },
  })
}

/** The tier that a label selector asks for, as clients do to list the policies of one tier; null when it names none. */
function tierAsked(labelSelector = ''): string | null {
  return /(?:^|,)\s*projectcalico\.org\/tier\s*==?\s*([a-z0-9-]+)\s*(?:,|$)/.exec(labelSelector)?.[1] ?? null
}

/** `<plural>.<group or core>` of a kind, as keys begin. */
function pluralOfKind(kind: Kind): string {
  const key = keyIn(kind, 'any', undefined)
  return key.slice(0, key.indexOf('/'))
}

const describe = (key: string) => `${namespaceOf(key) === null ? '' : `${namespaceOf(key)}/`}${nameOf(key)}`
const sortKey = ({ metadata }: Resource) => `${metadata.namespace ?? ''}/${metadata.name}`
