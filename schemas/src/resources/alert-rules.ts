import { event } from '../events/alert-event.ts'
import { definitionOf } from '../events/definitions.ts'
import type { EventDefinition } from '../events/event.ts'
import { findField } from '../query/field.ts'
import { parseQuery } from '../query/parser.ts'
import { QueryError } from '../query/query-error.ts'
import type { Report } from './finding.ts'
import type { GlobalAlertSpec } from './kinds/alert.ts'
import type { Path } from './path.ts'

/**
 * Checks a GlobalAlert against the data set it reads: the query parses, the fields exist, and summary and description use
 * only variables that an event of the alert has (spec 1.7).
 */
export function checkAlertAsks(spec: GlobalAlertSpec, report: Report): void {
  const definition = spec.dataSet === undefined ? null : definitionOf(spec.dataSet)
  if (definition === null) return
  const { query = '', substitutions = [] } = spec
  const known = substitutions.map(({ name, values = [] }) => ({ name, values }))
  checkParses(() => parseQuery(query, definition, { substitutions: known }), ['spec', 'query'], report)
  checkFields(spec, definition, report)
  checkTemplates(spec, report)
}

/** Checks the query over alert events that an AlertException hides, or that a SecurityEventWebhook passes on. */
export function checkEventQuery(query: string, member: 'selector' | 'query', report: Report): void {
  checkParses(() => parseQuery(query, event), ['spec', member], report)
}

function checkParses(parse: () => void, at: Path, report: Report): void {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof QueryError)) throw error
    report.error(at, 'query-parses', `${error.message} (at character ${error.position + 1} of the query)`)
  }
}

function checkFields(spec: GlobalAlertSpec, definition: EventDefinition, report: Report): void {
  const { field = '' } = spec
  const named: readonly (readonly [string, Path])[] = [
    ...fieldsOfGroup(spec).map((name, index) => [name, ['spec', 'aggregateBy', index]] as const),
    ...(field === '' ? [] : [[field, ['spec', 'field']] as const]),
  ]
  for (const [name, at] of named)
    if (findField(definition, name) === null)
      report.error(at, 'field-exists', `${definition.dataSet} has no field ${name}`)
}

/** Without aggregation and metric an event is a row, and any field of it may be named. */
function checkTemplates(spec: GlobalAlertSpec, report: Report): void {
  const allowed = [...fieldsOfGroup(spec), ...(spec.metric === undefined ? [] : [spec.metric])]
  if (allowed.length === 0) return
  for (const member of ['summary', 'description'] as const) {
    for (const [, text = ''] of (spec[member] ?? '').matchAll(/\$\{([^}]*)\}/g)) {
      const name = text.trim()
      if (allowed.includes(name)) continue
      const advice = `use one of ${allowed.join(', ')}`
      report.error(
        ['spec', member],
        'template-variable',
        `\${${name}} is neither in aggregateBy nor the metric: ${advice}`,
      )
    }
  }
}

function fieldsOfGroup({ aggregateBy = [] }: GlobalAlertSpec): readonly string[] {
  return typeof aggregateBy === 'string' ? [aggregateBy] : aggregateBy
}
