import { completeResource, kindOf, unknownKind, validateResource } from '../resources/kinds.ts'
import type { Problem, Resource } from '../resources/resource.ts'
import { type Given, objectOf, VectorError } from './request.ts'

/** One thing that is wrong with a resource. */
export interface ResourceFault {
  /** As in `spec.ingress[0].destination.ports[1]`. */
  readonly path: string
  /** Stable name of the rule broken. */
  readonly rule: string
  readonly message: string
}

/** What is said of a resource. */
export interface ResourceAnswer {
  readonly valid: boolean
  readonly errors: readonly ResourceFault[]
  /** The resource as it would be stored; null when it is not valid. */
  readonly defaulted: Resource | null
  /** What is odd but accepted, such as unknown fields; absent when there is nothing. */
  readonly warnings?: readonly ResourceFault[]
}

/** Answers `{resource}`. Throws VectorError when that is no object with apiVersion, kind and metadata. */
export function answerResource(given: Given): ResourceAnswer {
  const resource = resourceOf(objectOf(given, 'resource'))
  if (kindOf(resource) === null) return { valid: false, errors: [faultOf(unknownKind(resource))], defaulted: null }
  const problems = validateResource(resource)
  const errors = problems.filter(({ severity }) => severity === 'error').map(faultOf)
  const warnings = problems.filter(({ severity }) => severity === 'warning').map(faultOf)
  const valid = errors.length === 0
  return {
    valid,
    errors,
    defaulted: valid ? completeResource(resource) : null,
    ...(warnings.length > 0 && { warnings }),
  }
}

/** The object as a resource. Throws VectorError when it has no apiVersion, kind or metadata. */
export function resourceOf(given: Given): Resource {
  const { apiVersion, kind, metadata } = given
  const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isObject)
    throw new VectorError('a resource has apiVersion, kind and metadata')
  return given as Resource
}

function faultOf({ path, rule, message }: Problem): ResourceFault {
  return { path, rule, message }
}
