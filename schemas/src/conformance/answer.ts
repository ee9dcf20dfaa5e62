import { answerKubernetes } from './kubernetes.ts'
import { answerPolicy } from './policy.ts'
import { answerQuery } from './query.ts'
import { messageOf, VectorError } from './request.ts'
import { answerResource } from './resource.ts'
import { answerSelector } from './selector.ts'

const interfaces = {
  selector: answerSelector,
  resource: answerResource,
  policy: answerPolicy,
  kubernetes: answerKubernetes,
  query: answerQuery,
} as const

/** What can be asked of the conformance interface. */
export type Conformance = keyof typeof interfaces

/** The names of what can be asked. */
export const conformances = Object.keys(interfaces) as readonly Conformance[]

/**
 * Answers one vector. Never throws: a vector that cannot be answered gives `{id, valid: false, error}`.
 */
export function answer(conformance: Conformance, request: unknown): object {
  const id = (request as { id?: unknown } | null | undefined)?.id ?? null
  try {
    if (typeof request !== 'object' || request === null || Array.isArray(request))
      throw new VectorError('a vector is a JSON object')
    return { id, ...interfaces[conformance](request as Readonly<Record<string, unknown>>) }
  } catch (error) {
    return { id, valid: false, error: messageOf(error) }
  }
}

/** Answers one line of NDJSON with another; `line` (from 1) is named when it holds no vector. Null for an empty line. */
export function answerLine(conformance: Conformance, text: string, line: number): string | null {
  if (/^\s*$/.test(text)) return null
  let request: unknown
  try {
    request = JSON.parse(text)
  } catch (error) {
    return JSON.stringify({ id: null, valid: false, error: `line ${line} is not JSON: ${messageOf(error)}` })
  }
  const given = answer(conformance, request) as { valid?: boolean; error?: string }
  if (typeof request !== 'object' || request === null || Array.isArray(request))
    given.error = `line ${line}: ${given.error}`
  return JSON.stringify(given)
}
