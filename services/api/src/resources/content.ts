import type { Metadata, Resource } from '@margay/schemas'

/** Members of metadata that the server writes; what a client sends in them is ignored. */
const managed = [
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
] as const

/** kubectl's private memory of the last apply: no part of what the user declares. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

/**
 * The part of a resource that its author declares: without server-managed metadata, without status,
 * without empty label and annotation maps.
 */
export function declaredPart(resource: Resource): Resource {
  const { status: _status, ...rest } = resource
  const metadata: Metadata = { ...resource.metadata }
  for (const member of managed) delete metadata[member]
  const annotations = { ...metadata.annotations }
  delete annotations[lastApplied]
  if (Object.keys(annotations).length > 0) metadata.annotations = annotations
  else delete metadata.annotations
  if (Object.keys(metadata.labels ?? {}).length === 0) delete metadata.labels
  return { ...rest, metadata } as Resource
}

/** JSON text with the members of every object in alphabetical order: equal values have equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )
}

/** Whether two resources declare the same. */
export function declaresSame(a: Resource, b: Resource): boolean {
  return canonicalJson(declaredPart(a)) === canonicalJson(declaredPart(b))
}

/** Whether two resources declare the same apart from metadata: the generation grows only when they do not. */
export function declaresSameBody(a: Resource, b: Resource): boolean {
  const bodyOf = ({ metadata: _metadata, status: _status, ...body }: Resource) => canonicalJson(body)
  return bodyOf(a) === bodyOf(b)
}
