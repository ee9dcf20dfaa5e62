import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'
import { type Problem, parseResources, type Resource } from '@margay/schemas'

/** One object of a manifest, and where it was written. */
export interface Document {
  readonly resource: Resource
  readonly file: string
}

/** The objects of a text in the order of the text. Throws LAB_MANIFEST_INVALID that lists every error; warnings are returned. */
export function parseDocuments(text: string, file: string): { documents: Document[]; warnings: Problem[] } {
  const { resources, problems } = parseResources(text, file, { keepUnknown: true })
  const errors = problems.filter((problem) => problem.severity === 'error')
  if (errors.length > 0) {
    const lines = errors.map((e) => `  ${e.file ?? file}:${e.line ?? 1} ${e.path}: ${e.message}`)
    throw new MargayError('LAB_MANIFEST_INVALID', `the manifests are not valid:\n${lines.join('\n')}`, {
      status: 422,
      details: { problems: errors },
    })
  }
  return { documents: resources.map(({ resource }) => ({ resource, file })), warnings: problems }
}

/** Files of a folder, its folders included, that hold manifests, in the order of their names; a file stands for itself. Throws LAB_MANIFEST_INVALID. */
export function manifestFiles(path: string): string[] {
  try {
    if (statSync(path).isFile()) return [path]
    return readdirSync(path, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const full = join(path, entry.name)
        if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : manifestFiles(full)
        return /\.(ya?ml|json)$/.test(entry.name) ? [full] : []
      })
  } catch (cause) {
    throw new MargayError('LAB_MANIFEST_INVALID', `cannot read the manifests ${path}: ${messageOf(cause)}`, { cause })
  }
}

/** Reads every manifest of a folder (or one file). Throws LAB_MANIFEST_INVALID. */
export function readDocuments(path: string): { documents: Document[]; warnings: Problem[] } {
  const parsed = manifestFiles(path).map((file) => parseDocuments(readFileSync(file, 'utf8'), file))
  return {
    documents: parsed.flatMap(({ documents }) => documents),
    warnings: parsed.flatMap(({ warnings }) => warnings),
  }
}
