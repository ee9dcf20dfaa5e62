import { keyOf, type Problem, parseResources, type ResourceKey } from '@margay/schemas'
import { type Document, located } from './admission.ts'
import { canonicalJson } from './content.ts'

/** The documents of one request body. */
export interface Documents {
  readonly documents: readonly (Document & { readonly key: ResourceKey })[]
  readonly problems: readonly Problem[]
}

/**
 * Reads YAML or JSON text with any number of documents. The same document twice counts once (folders repeat their
 * Namespace in every file); two different ones of one identity are a problem, since neither is clearly meant.
 */
export function readDocuments(text: string, file?: string): Documents {
  const { resources, problems } = parseResources(text, file)
  const found = [...problems]
  const byKey = new Map<ResourceKey, Document & { key: ResourceKey }>()
  for (const document of resources) {
    const key = keyOf(document.resource)
    const earlier = byKey.get(key)
    if (earlier === undefined) byKey.set(key, { ...document, key })
    else if (canonicalJson(earlier.resource) !== canonicalJson(document.resource)) {
      found.push(
        located(
          {
            severity: 'error',
            path: 'metadata.name',
            rule: 'document-unique',
            message: `${key} is given twice with different content${earlier.line === undefined ? '' : ` (first in line ${earlier.line})`}: keep one`,
          },
          document,
        ),
      )
    }
  }
  return { documents: [...byKey.values()], problems: found }
}
