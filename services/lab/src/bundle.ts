import { fileURLToPath } from 'node:url'
import type { Resource } from '@margay/schemas'
import { type Document, readDocuments } from './manifests/documents.ts'

/** What a lab is made from. */
export interface Bundle {
  readonly documents: readonly Document[]
  /** Policies, alerts and reports of the demonstration: published unless users had them before. */
  readonly policies: readonly Resource[]
  /** What of the manifests could not be used. */
  readonly notes: readonly string[]
}

const folder = (name: string) => fileURLToPath(new URL(`../manifests/${name}`, import.meta.url))

/**
 * The manifests of a lab: the bundled demonstration with its policies, or the user's own (folder or file). A name server and the
 * outside world are added to manifests that have none. Throws LAB_MANIFEST_INVALID.
 */
export function readBundle(manifests: string | undefined): Bundle {
  if (manifests === undefined) {
    return {
      documents: ['cluster', 'demo'].flatMap((name) => readDocuments(folder(name)).documents),
      policies: readDocuments(folder('policies')).documents.map(({ resource }) => resource),
      notes: [],
    }
  }
  const { documents, notes } = readDocuments(manifests)
  return { documents: withCluster(documents), policies: [], notes }
}

/** The documents, with the bundled name server and outside world where they have none of their own. */
export function withCluster(documents: readonly Document[]): Document[] {
  const hasDns = documents.some(
    ({ resource: { kind, metadata } }) =>
      kind === 'Service' && metadata.namespace === 'kube-system' && metadata.name === 'kube-dns',
  )
  const hasInternet = documents.some(({ resource }) => resource.kind === 'LabInternet')
  return [
    ...(hasDns ? [] : readDocuments(folder('cluster/kube-dns.yaml')).documents),
    ...(hasInternet ? [] : readDocuments(folder('cluster/internet.yaml')).documents),
    ...documents,
  ]
}
