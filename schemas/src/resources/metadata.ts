import { Type } from 'typebox'
import type { Report } from './finding.ts'
import { keyProblem, labelValueProblem, type NameRule } from './name.ts'
import type { Resource } from './resource.ts'
import { checkStructure } from './structure.ts'

const text = () => Type.Optional(Type.String())
const texts = () => Type.Optional(Type.Record(Type.String(), Type.String()))

const metadata = Type.Object({
  name: Type.String({ minLength: 1 }),
  namespace: text(),
  generateName: text(),
  labels: texts(),
  annotations: texts(),
  uid: text(),
  resourceVersion: text(),
  generation: Type.Optional(Type.Integer()),
  creationTimestamp: text(),
  deletionTimestamp: text(),
  deletionGracePeriodSeconds: Type.Optional(Type.Integer()),
  selfLink: text(),
  finalizers: Type.Optional(Type.Array(Type.String())),
  ownerReferences: Type.Optional(Type.Array(Type.Unknown())),
  managedFields: Type.Optional(Type.Array(Type.Unknown())),
})

const annotationLimit = 256 * 1024

/** Checks apiVersion, kind and metadata, which every resource has. */
export function checkMetadata(
  resource: Resource,
  { namespaced, nameRule }: { namespaced: boolean; nameRule: NameRule },
  report: Report,
): void {
  const before = report.findings.length
  checkStructure(metadata, resource.metadata, ['metadata'], report)
  if (report.findings.slice(before).some(({ severity }) => severity === 'error')) return
  const { name, namespace, labels = {}, annotations = {} } = resource.metadata
  const problem = nameRule(name)
  if (problem !== null) report.error(['metadata', 'name'], 'name', `name ${JSON.stringify(name)} ${problem}`)
  if (!namespaced && namespace !== undefined && namespace !== '') {
    report.warning(
      ['metadata', 'namespace'],
      'cluster-scoped',
      `${resource.kind} is not namespaced: the namespace is ignored`,
    )
  }
  for (const [key, value] of Object.entries(labels)) {
    const broken = keyProblem(key) ?? labelValueProblem(value)
    if (broken !== null) report.error(['metadata', 'labels', key], 'label', `label ${key}: ${broken}`)
  }
  let size = 0
  for (const [key, value] of Object.entries(annotations)) {
    size += key.length + value.length
    const broken = keyProblem(key.toLowerCase())
    if (broken !== null) report.error(['metadata', 'annotations', key], 'annotation', `annotation ${key}: ${broken}`)
  }
  if (size > annotationLimit) report.error(['metadata', 'annotations'], 'annotation', 'annotations exceed 256 KiB')
}
