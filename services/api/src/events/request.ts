import { MargayError } from '@margay/kit/errors'
import {
  definitionOf,
  type EventDefinition,
  type Expression,
  joined,
  parseQuery,
  type Query,
  QueryError,
} from '@margay/schemas'
import { parseCursor } from './cursor.ts'
import type { PageRequest } from './page.ts'
import { parseMoment } from './time.ts'

/** The definition of a data set. Throws DATA_SET_UNKNOWN. */
export function dataSetOf(name: string): EventDefinition {
  const definition = definitionOf(name)
  if (definition !== null) return definition
  throw new MargayError(
    'DATA_SET_UNKNOWN',
    `there is no data set ${JSON.stringify(name)}: use flows, dns, l7, audit, events, notifications, status, snapshots or reports`,
    { status: 404 },
  )
}

/** The query of a request; null when it asks for everything. Throws QUERY_INVALID, which tells the position. */
export function queryOf(text: string | undefined, definition: EventDefinition): Query | null {
  if (text === undefined || text.trim() === '') return null
  try {
    return parseQuery(text, definition)
  } catch (error) {
    if (!(error instanceof QueryError)) throw error
    const { message, position, length } = error
    throw new MargayError('QUERY_INVALID', `q: ${message}`, { status: 400, details: { position, length } })
  }
}

/** A query for what another selects (null: everything) and none of the hidden ones does. */
function without(query: Query | null, definition: EventDefinition, hidden: readonly Query[]): Query | null {
  const nots = hidden.flatMap(({ expression }): Expression[] =>
    expression === null ? [] : [{ kind: 'not', operand: expression }],
  )
  if (nots.length === 0) return query
  const wanted = query?.expression ?? null
  const expression = joined('and', wanted === null ? nots : [wanted, ...nots])
  return { definition, expression, unusedSubstitutions: [] }
}

/** The parameters of a page, as they come in a URL. */
export interface PageParameters {
  readonly q?: string
  readonly from?: string
  readonly to?: string
  readonly limit?: number
  readonly order?: 'asc' | 'desc'
  readonly cursor?: string
}

const day = 86_400_000
/** Clocks of nodes differ a little: without `to`, events that seem to come from the near future are shown too. */
const skew = 5 * 60_000

/** Reads the parameters of a page: the last 24 hours and 100 events unless they say otherwise. */
export function pageRequestOf(
  parameters: PageParameters,
  definition: EventDefinition,
  { now, maxRows, hidden = [] }: { readonly now: number; readonly maxRows: number; readonly hidden?: readonly Query[] },
): PageRequest {
  const { q, from, to, limit = 100, order = 'desc', cursor } = parameters
  const end = to === undefined ? now + skew : parseMoment(to, 'to', now)
  const start = from === undefined ? Math.min(end, now) - day : parseMoment(from, 'from', now)
  if (start >= end) throw new MargayError('REQUEST_INVALID', 'from must be before to', { status: 400 })
  return {
    query: without(queryOf(q, definition), definition, hidden),
    from: Math.max(0, start),
    to: end,
    order,
    limit: Math.min(limit, maxRows),
    after: cursor === undefined ? null : parseCursor(cursor),
  }
}
