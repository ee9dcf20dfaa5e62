import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { MargayError, messageOf } from '@margay/kit/errors'
import { type Problem, parseResources, type Resource } from '@margay/schemas'

/** One object of a manifest, and where it was written. */
export interface Document {
  readonly resource: Resource
  readonly file: string
}

/** The objects of a text in the order of the text. Throws LAB_MANIFEST_INVALID that lists every error. */
export function parseDocuments(text: string, file: string): Document[] {
  const { documents, errors } = readText(text, file)
  if (errors.length > 0) {
    throw new MargayError('LAB_MANIFEST_INVALID', `the manifests are not valid:\n  ${errors.map(told).join('\n  ')}`, {
      status: 422,
      details: { problems: errors },
    })
  }
  return documents
}

function readText(text: string, file: string): { documents: Document[]; errors: Problem[] } {
  const { resources, problems } = parseResources(text, file, { keepUnknown: true })
  return {
    documents: resources.map(({ resource }) => ({ resource, file })),
    errors: problems.filter(({ severity }) => severity === 'error'),
  }
}

const told = ({ file, line, path, message }: Problem) =>
  `${file}:${line ?? 1} ${path === '' ? '' : `${path}: `}${message}`

/** Files of a folder, its folders included, that hold manifests, in the order of their names; a file stands for itself. Throws LAB_MANIFEST_INVALID. */
function manifestFiles(path: string): string[] {
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

/**
 * Reads every manifest of a folder (or one file). An object that is not valid is left out and told in `notes`: a published set may
 * hold one that a user fills in by hand. Throws LAB_MANIFEST_INVALID when nothing can be read at the path.
 */
export function readDocuments(path: string): { documents: Document[]; notes: string[] } {
  const read = manifestFiles(path).map((file) => readText(readFileSync(file, 'utf8'), file))
  return {
    documents: read.flatMap(({ documents }) => documents),
    notes: read.flatMap(({ errors }) => errors.map((error) => `left out, not valid: ${told(error)}`)),
  }
}
