import type { TSchema } from 'typebox'
import type { Report } from './finding.ts'
import { formats } from './format.ts'
import type { Path } from './path.ts'
import { closest } from './spelling.ts'

/** The JSON schema words that resource schemas use. */
interface Words {
  type?: string
  properties?: Record<string, Words>
  required?: readonly string[]
  patternProperties?: Record<string, Words>
  /** True: other members may stand there. */
  additionalProperties?: boolean
  /** With additionalProperties: still point out members whose names are close to a known one. */
  nearMisses?: boolean
  items?: Words
  anyOf?: readonly Words[]
  const?: unknown
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
}

/**
 * Checks a value against a schema and reports every difference at its place. Members that the schema does not know are warnings
 * (Kubernetes would drop them silently); null members count as absent, as in Kubernetes.
 */
export function checkStructure(schema: TSchema, value: unknown, at: Path, report: Report): void {
  check(schema as Words, value, at, report)
}

function check(words: Words, value: unknown, at: Path, report: Report): void {
  if (words.anyOf !== undefined) {
    checkAlternatives(words.anyOf, value, at, report)
    return
  }
  if (words.const !== undefined) {
    if (value !== words.const) report.error(at, 'one-of', `must be ${JSON.stringify(words.const)}`)
    return
  }
  if (words.type === undefined) return
  if (!isOfType(words.type, value)) {
    report.error(at, 'type', `must be ${article(words.type)}, not ${nameOf(value)}`)
    return
  }
  if (typeof value === 'string') checkText(words, value, at, report)
  else if (typeof value === 'number') checkNumber(words, value, at, report)
  else if (Array.isArray(value)) checkList(words, value, at, report)
  else if (typeof value === 'object') checkMembers(words, value as Record<string, unknown>, at, report)
}

function checkText(words: Words, value: string, at: Path, report: Report): void {
  if (words.minLength !== undefined && value.length < words.minLength)
    report.error(at, 'too-short', 'must not be empty')
  if (words.maxLength !== undefined && value.length > words.maxLength) {
    report.error(at, 'too-long', `must have at most ${words.maxLength} characters`)
  }
  if (words.pattern !== undefined && !new RegExp(words.pattern).test(value)) {
    report.error(at, 'pattern', `must match ${words.pattern}`)
  }
  if (words.format === undefined) return
  const problem = formats[words.format]?.(value)
  if (problem != null) report.error(at, words.format, problem)
}

function checkNumber(words: Words, value: number, at: Path, report: Report): void {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = words
  if (value >= minimum && value <= maximum) return
  const range =
    words.maximum === undefined
      ? `at least ${minimum}`
      : words.minimum === undefined
        ? `at most ${maximum}`
        : `from ${minimum} to ${maximum}`
  report.error(at, 'range', `must be ${range}`)
}

function checkList(words: Words, value: readonly unknown[], at: Path, report: Report): void {
  if (words.minItems !== undefined && value.length < words.minItems)
    report.error(at, 'too-few', `must have at least ${words.minItems} entries`)
  if (words.maxItems !== undefined && value.length > words.maxItems)
    report.error(at, 'too-many', `must have at most ${words.maxItems} entries`)
  const seen = new Set<string>()
  for (const [index, item] of value.entries()) {
    if (words.items !== undefined) check(words.items, item, [...at, index], report)
    if (!words.uniqueItems) continue
    const text = JSON.stringify(item)
    if (seen.has(text)) report.error([...at, index], 'unique', `repeats ${text}`)
    seen.add(text)
  }
}

function checkMembers(words: Words, value: Record<string, unknown>, at: Path, report: Report): void {
  for (const name of words.required ?? []) {
    if (value[name] === undefined || value[name] === null)
      report.error([...at, name], 'required', `${name} is required`)
  }
  const values = Object.values(words.patternProperties ?? {})[0]
  for (const [name, member] of Object.entries(value)) {
    if (member === null || member === undefined) continue
    const known =
      words.properties !== undefined && Object.hasOwn(words.properties, name) ? words.properties[name] : values
    if (known !== undefined) check(known, member, [...at, name], report)
    else noteUnknown(words, name, at, report)
  }
}

function noteUnknown(words: Words, name: string, at: Path, report: Report): void {
  const open = words.additionalProperties === true
  if (open && words.nearMisses !== true) return
  const meant = closest(name, Object.keys(words.properties ?? {}))
  if (open && meant === null) return
  report.warning(
    [...at, name],
    'unknown-field',
    `unknown field ${name}${meant === null ? ', ignored' : `, ignored (did you mean ${meant}?)`}`,
  )
}

function checkAlternatives(alternatives: readonly Words[], value: unknown, at: Path, report: Report): void {
  const candidates = alternatives.filter(
    (words) => words.const === undefined && (words.type === undefined || isOfType(words.type, value)),
  )
  const literals = alternatives.filter((words) => words.const !== undefined).map((words) => words.const)
  if (literals.includes(value)) return
  const [candidate] = candidates
  if (candidate !== undefined) {
    check(candidate, value, at, report)
    return
  }
  const types = alternatives.filter((words) => words.const === undefined).map((words) => article(words.type ?? 'value'))
  const allowed = [...literals.map(String), ...types]
  const meant = typeof value === 'string' ? closest(value, literals.map(String)) : null
  report.error(
    at,
    'one-of',
    `must be one of ${allowed.join(', ')}, not ${JSON.stringify(value)}${meant === null ? '' : ` (did you mean ${meant}?)`}`,
  )
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
    default:
      return typeof value === type
  }
}

function article(type: string): string {
  const names: Record<string, string> = {
    object: 'a mapping',
    array: 'a list',
    string: 'text',
    integer: 'a whole number',
    boolean: 'true or false',
  }
  return names[type] ?? `a ${type}`
}

function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a mapping' : `${typeof value} ${JSON.stringify(value)}`
}
