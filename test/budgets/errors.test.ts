import { expect, test } from 'vitest'
import { catalogues } from '../reference/errors.ts'
import { filesBelow, services, textOf } from './sources.ts'

/** Words in capitals that are other programs' names: of Node, its libraries, Kafka and ClickHouse. */
const foreign = new Set(
  (
    'EAI_AGAIN FST_ERR_CTP_BODY_TOO_LARGE OFFSET_OUT_OF_RANGE UND_ERR_CONNECT_TIMEOUT ' +
    'AUTHENTICATION_FAILED CANNOT_PARSE_NUMBER NOT_IMPLEMENTED QUERY_WAS_CANCELLED QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING ' +
    'SYNTAX_ERROR TOO_MANY_BYTES TOO_MANY_SIMULTANEOUS_QUERIES UNKNOWN_SETTING'
  ).split(' '),
)

/** Source of a service without its catalogue. */
const sourceOf = (service: string) =>
  filesBelow(`services/${service}/src`, /\.tsx?$/)
    .filter((path) => !path.endsWith('/src/errors.ts'))
    .map(textOf)
    .join('\n')

/** Codes that a source names: any word in capitals with an underscore, and whatever stands first in a MargayError. */
function codesIn(source: string): Set<string> {
  const words = [...source.matchAll(/'([A-Z]+(?:_[A-Z]+)+)'/g)].map(([, word]) => word as string)
  const raised = [...source.matchAll(/new MargayError\(\s*([^,]+),/g)].flatMap(([, code]) =>
    [...(code as string).matchAll(/'([A-Z_]+)'/g)].map(([, word]) => word as string),
  )
  return new Set([...words, ...raised])
}

test('every service with a catalogue of errors is in the reference', () => {
  expect(
    services()
      .filter((service) => filesBelow(`services/${service}/src`, /^errors\.ts$/).length > 0)
      .sort(),
  ).toEqual(Object.keys(catalogues).sort())
})

for (const [service, catalogue] of Object.entries(catalogues)) {
  test(`${service} raises the errors of its catalogue and no other`, () => {
    const codes = codesIn(sourceOf(service))
    const known = { ...catalogues.kit, ...catalogue }
    expect([...codes].filter((code) => !(code in known) && !foreign.has(code))).toEqual([])
    expect(Object.keys(catalogue).filter((code) => !codes.has(code))).toEqual([])
  })
}

test('every other program’s word that is let through is in use', () => {
  const codes = codesIn(Object.keys(catalogues).map(sourceOf).join('\n'))
  expect([...foreign].filter((word) => !codes.has(word))).toEqual([])
})
