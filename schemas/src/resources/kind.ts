import type { TObject, TProperties } from 'typebox'
import { createReport, type Report } from './finding.ts'
import { checkMetadata } from './metadata.ts'
import { type NameRule, subdomainName } from './name.ts'
import { printPath } from './path.ts'
import type { Kind, Problem, Resource } from './resource.ts'
import { checkStructure } from './structure.ts'

/** A rule over several fields of a resource whose structure is already right. */
export type Check<R = Resource> = (resource: R, report: Report) => void

/** What is said about a kind; the rest follows from it. */
export interface KindDefinition {
  readonly kind: string
  readonly plural: string
  readonly shortNames?: readonly string[]
  readonly apiVersions: readonly string[]
  readonly namespaced: boolean
  /** Members beside apiVersion, kind and metadata. */
  readonly members: TObject<TProperties>
  readonly nameRule?: NameRule
  /** Run when the structure has no errors. */
  readonly checks?: readonly Check[]
  /** Fills defaults in; gets a copy that it may change. */
  readonly defaults?: (resource: Resource) => void
}

/** The API version of Calico's kinds. */
export const calico = ['projectcalico.org/v3'] as const

/** Makes a kind of its definition. */
export function defineKind(definition: KindDefinition): Kind {
  const { kind, plural, shortNames = [], apiVersions, namespaced, members, nameRule = subdomainName } = definition
  return {
    kind,
    plural,
    shortNames,
    apiVersions,
    namespaced,
    validate(given) {
      const report = createReport()
      const resource = withoutNulls(given) as Resource
      checkMetadata(resource, { namespaced, nameRule }, report)
      const { apiVersion: _, kind: __, metadata: ___, ...rest } = resource
      checkStructure(members, rest, [], report)
      const broken = report.findings.some((finding) => finding.severity === 'error')
      if (!broken) for (const check of definition.checks ?? []) check(resource, report)
      return report.findings.map(({ at, ...finding }): Problem => ({ ...finding, path: printPath(at) }))
    },
    complete(resource) {
      const copy = withoutNulls(resource) as Resource
      copy.apiVersion = apiVersions[0] as string
      if (namespaced) copy.metadata.namespace ??= 'default'
      else delete copy.metadata.namespace
      definition.defaults?.(copy)
      return copy
    },
  }
}

/** A deep copy without members that are null, which Kubernetes counts as absent. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withoutNulls)
  const copy: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    if (member === null || member === undefined) continue
    // Text from outside may hold this name as a member like any other.
    if (name === '__proto__') Object.defineProperty(copy, name, { value: withoutNulls(member), ...plain })
    else copy[name] = withoutNulls(member)
  }
  return copy
}

const plain = { configurable: true, enumerable: true, writable: true }
