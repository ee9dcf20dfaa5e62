/** A Kubernetes-style object as users write it. `spec` and other top-level members keep their own shapes. */
export interface Resource {
  apiVersion: string
  kind: string
  metadata: Metadata
  [member: string]: unknown
}

/** What every object tells of itself. */
export interface Metadata {
  name: string
  namespace?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  uid?: string
  /** Decimal number, growing with every change in the cluster. */
  resourceVersion?: string
  generation?: number
  /** RFC 3339. */
  creationTimestamp?: string
  generateName?: string
  [member: string]: unknown
}

/** What is wrong with a resource, and where: the file and line it was read from, and the path inside it. */
export interface Problem {
  severity: 'error' | 'warning'
  file?: string
  /** 1-based. */
  line?: number
  /** As in `spec.ingress[0].destination.ports[1]`. */
  path: string
  /** Stable name of the rule broken, as in `port-needs-protocol`. */
  rule: string
  message: string
}

/** A resource kind that Margay knows: how it is named, whether it lives in a namespace, how it is checked and completed. */
export interface Kind {
  readonly kind: string
  readonly plural: string
  readonly shortNames: readonly string[]
  /** Accepted apiVersions; the first is the one written. */
  readonly apiVersions: readonly string[]
  readonly namespaced: boolean
  /** Checks structure and every cross-field rule; never throws. */
  validate(resource: Resource): Problem[]
  /** Returns a copy with defaults filled in (spec `types`, `tier`, `period` ...). */
  complete(resource: Resource): Resource
}

/** Identity of a resource in the cluster: `<plural>.<group or 'core'>/<namespace or '-'>/<name>`. */
export type ResourceKey = string

/** One value of the topic `margay.resources.v1`; the record's key is the ResourceKey, a null value deletes. */
export interface ResourceRecord {
  object: Resource
}

/** The compacted topic that holds the cluster's resources. */
export const resourcesTopic = 'margay.resources.v1'
