import { Type } from 'typebox'

/** Shapes that several routes have in common. Answers are documented by them and written as plain JSON. */

const Resource = Type.Object(
  {
    apiVersion: Type.String(),
    kind: Type.String(),
    metadata: Type.Object(
      { name: Type.String(), namespace: Type.Optional(Type.String()) },
      { additionalProperties: true },
    ),
  },
  { $id: 'Resource', additionalProperties: true, description: 'a Kubernetes-style object' },
)

const Problem = Type.Object(
  {
    severity: Type.Union([Type.Literal('error'), Type.Literal('warning')]),
    file: Type.Optional(Type.String()),
    line: Type.Optional(Type.Integer({ description: '1-based' })),
    path: Type.String({ description: 'as in spec.ingress[0].destination.ports[1]' }),
    rule: Type.String({ description: 'stable name of the rule broken' }),
    message: Type.String(),
  },
  { $id: 'Problem', description: 'what is wrong with a document, and where' },
)

const WriteOutcome = Type.Object(
  {
    key: Type.String({ description: '<plural>.<group or core>/<namespace or ->/<name>' }),
    kind: Type.String(),
    namespace: Type.Union([Type.String(), Type.Null()]),
    name: Type.String(),
    result: Type.Enum(['created', 'configured', 'unchanged', 'deleted', 'not-found']),
    resource: Type.Optional(Type.Ref('Resource')),
    before: Type.Optional(Type.Ref('Resource')),
  },
  { $id: 'WriteOutcome', description: 'what became of one document' },
)

const WriteAnswer = Type.Object(
  {
    results: Type.Array(Type.Ref('WriteOutcome')),
    warnings: Type.Array(Type.Ref('Problem')),
  },
  { $id: 'WriteAnswer' },
)

const Stats = Type.Object(
  {
    rowsRead: Type.Integer({ description: 'rows that ClickHouse read' }),
    bytesRead: Type.Integer(),
    elapsedMs: Type.Number(),
  },
  { $id: 'Stats', description: 'what the query cost' },
)

const EventPage = Type.Object(
  {
    events: Type.Array(Type.Object({}, { additionalProperties: true })),
    next: Type.Union([Type.String(), Type.Null()], { description: 'cursor of the next page; null at the end' }),
    from: Type.String({ format: 'date-time' }),
    to: Type.String({ format: 'date-time' }),
    sql: Type.String({ description: 'the query as SQL, to go on with in /v1/sql' }),
    stats: Type.Ref('Stats'),
  },
  { $id: 'EventPage', description: 'events of a data set, in order of time' },
)

/** Every shape above, to be registered under its name. */
export const shapes = [Resource, Problem, WriteOutcome, WriteAnswer, Stats, EventPage] as const

/** An answer of problem+json, for the statuses that a route may give. */
export function problems<S extends number>(...statuses: readonly S[]) {
  const answer = {
    description: 'problem document (RFC 9457)',
    content: { 'application/problem+json': { schema: Type.Ref('ProblemDocument') } },
  }
  return Object.fromEntries(statuses.map((status) => [status, answer])) as Record<S, typeof answer>
}
