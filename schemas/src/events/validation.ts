import { Compile, type Validator } from 'typebox/compile'
import type { EventDefinition } from './event.ts'

const compiled = new WeakMap<EventDefinition, Validator>()

/**
 * Says what is wrong with an event, or null when it can be stored. The reason names the first broken member, as in
 * `dest_port must be <= 65535`; it is short and never repeats the value. Members that no column has are ignored,
 * so that an older reader takes events of a newer writer.
 */
export function validateEvent(definition: EventDefinition, value: unknown): string | null {
  let validator = compiled.get(definition)
  if (!validator) {
    validator = Compile(definition.schema)
    compiled.set(definition, validator)
  }
  if (validator.Check(value)) return null
  const error = validator.Errors(value)[0]
  if (!error) return 'not an event'
  const steps = error.instancePath.split('/').slice(1)
  const missing = (error.params as { requiredProperties?: readonly string[] }).requiredProperties?.[0]
  if (missing !== undefined) return `${[...steps, missing].join('.')} is missing`
  return `${steps.join('.') || definition.kind} ${demandOf(definition, steps) ?? error.message}`
}

/** What a column of addresses or of listed words wants; JSON schema can only say that no branch of a union held. */
function demandOf(definition: EventDefinition, steps: readonly string[]): string | undefined {
  let column = Object.entries(definition.columns).find(
    ([name, { path }]) => name === steps[0] || path === steps.slice(0, 2).join('.'),
  )?.[1]
  if (column?.query === 'nested' && steps[2] !== undefined) column = column.members?.[steps[2]]
  const orNull = column?.clickhouse.startsWith('Nullable') ? ' or null' : ''
  if (column?.query === 'ip' || (column?.query === 'ips' && steps.length > 1)) return `must be an IP address${orNull}`
  if (column?.query === 'enum' && !column.open) return `must be one of ${column.values?.join(', ')}`
  if (orNull !== '') return 'must be an integer from 0 to 65535 or null'
  if (column?.query === 'json') return 'must be an object or an array'
  return undefined
}
