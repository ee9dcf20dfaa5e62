import {
  definitionOf,
  type EventDefinition,
  event,
  findField,
  type GlobalAlertSpec,
  type Problem,
  parseQuery,
  QueryError,
  type Resource,
} from '@margay/schemas'

const problem = (path: string, rule: string, message: string): Problem => ({ severity: 'error', path, rule, message })

/**
 * Checks a GlobalAlert against the data set it reads: the query parses, the fields exist, and summary and description use
 * only variables that an event of the alert has (spec 1.7).
 */
export function alertProblems(alert: Resource): Problem[] {
  const spec = alert.spec as GlobalAlertSpec
  const definition = spec.dataSet === undefined ? null : definitionOf(spec.dataSet)
  if (definition === null) return []
  return [...queryProblems(spec, definition), ...fieldProblems(spec, definition), ...templateProblems(spec)]
}

function queryProblems({ query = '', substitutions = [] }: GlobalAlertSpec, definition: EventDefinition): Problem[] {
  const known = substitutions.map(({ name, values = [] }) => ({ name, values }))
  return parseProblems(() => parseQuery(query, definition, { substitutions: known }), 'spec.query')
}

/** Checks the query over alert events that an AlertException hides, or that a SecurityEventWebhook passes on. */
export function eventQueryProblems(resource: Resource): Problem[] {
  const { selector, query } = resource.spec as { selector?: string; query?: string }
  const member = selector === undefined ? 'query' : 'selector'
  return parseProblems(() => parseQuery(selector ?? query ?? '', event), `spec.${member}`)
}

function parseProblems(parse: () => void, path: string): Problem[] {
  try {
    parse()
    return []
  } catch (error) {
    if (!(error instanceof QueryError)) throw error
    return [problem(path, 'query-parses', `${error.message} (at character ${error.position + 1} of the query)`)]
  }
}

function fieldProblems(spec: GlobalAlertSpec, definition: EventDefinition): Problem[] {
  const found = fieldsOfGroup(spec)
    .map((name, i) => ({ name, path: `spec.aggregateBy[${i}]` }))
    .concat(spec.field === undefined || spec.field === '' ? [] : [{ name: spec.field, path: 'spec.field' }])
    .filter(({ name }) => !findField(definition, name))
  return found.map(({ name, path }) => problem(path, 'field-exists', `${definition.dataSet} has no field ${name}`))
}

/** Without aggregation and metric an event is a row, and any field of it may be named. */
function templateProblems(spec: GlobalAlertSpec): Problem[] {
  const allowed = [...fieldsOfGroup(spec), ...(spec.metric === undefined ? [] : [spec.metric])]
  if (allowed.length === 0) return []
  return (['summary', 'description'] as const).flatMap((member) =>
    [...(spec[member] ?? '').matchAll(/\$\{([^}]*)\}/g)]
      .map(([, name = '']) => name.trim())
      .filter((name) => !allowed.includes(name))
      .map((name) =>
        problem(
          `spec.${member}`,
          'template-variable',
          `\${${name}} is neither in aggregateBy nor the metric: use one of ${allowed.join(', ')}`,
        ),
      ),
  )
}

function fieldsOfGroup({ aggregateBy = [] }: GlobalAlertSpec): readonly string[] {
  return typeof aggregateBy === 'string' ? [aggregateBy] : aggregateBy
}
