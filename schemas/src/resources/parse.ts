import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { completeResource, kindOf, unknownKind, validateResource } from './kinds.ts'
import { type Path, parsePath } from './path.ts'
import type { Problem, Resource } from './resource.ts'

/** A resource read from text, complete with defaults, and the line its document begins on. */
export interface ParsedResource {
  readonly resource: Resource
  readonly file?: string
  /** 1-based. */
  readonly line: number
  /** The line on which a member of it stands, 1-based; that of its nearest ancestor in the text when defaults filled it in. */
  lineAt(path: Path): number
}

/** What a text held, and what is wrong with it. */
export interface ParsedResources {
  /** Those without errors. */
  readonly resources: ParsedResource[]
  readonly problems: Problem[]
}

/** How a text is read. */
export interface ParseOptions {
  /** Return resources of unknown kinds too. */
  readonly keepUnknown?: boolean
}

/** An object of the text and the way to it from the top of its document. */
interface Place {
  readonly value: unknown
  readonly node: Node
  readonly at: Path
}

/**
 * Reads resources from YAML (many documents) or JSON; lists are taken apart. Each problem names file, line, place and rule. A resource with
 * errors is left out, so a caller that wants all or nothing looks at the problems first.
 */
export function parseResources(text: string, file?: string, options: ParseOptions = {}): ParsedResources {
  const lines = new LineCounter()
  const resources: ParsedResource[] = []
  const problems: Problem[] = []
  const where = file === undefined ? {} : { file }

  const refuse = (message: string, line = 1) =>
    problems.push({ severity: 'error', ...where, line, path: '', rule: 'yaml-syntax', message })
  let documents: Document[] = []
  try {
    const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true })
    documents = Array.isArray(parsed) ? parsed : []
  } catch (error) {
    // The reader gives up on text that nests too deep for its stack.
    refuse(String(error))
  }
  for (const document of documents) {
    for (const { message, pos, severity } of syntaxProblems(document)) {
      problems.push({ severity, ...where, line: lines.linePos(pos).line, path: '', rule: 'yaml-syntax', message })
    }
    if (document.errors.length > 0) continue
    let places: Place[] = []
    try {
      places = objectsOf(document)
    } catch (error) {
      // Aliases that multiply without end.
      refuse(String(error), document.contents?.range ? lineOf(document.contents) : 1)
    }
    for (const place of places) take(place)
  }
  return { resources, problems }

  function lineOf(node: Node, at: Path = []): number {
    return lines.linePos(startOf(node, at)).line
  }

  function take({ value, node, at }: Place): void {
    const line = lineOf(node, at)
    const place = { ...where, line, lineAt: (path: Path) => lineOf(node, [...at, ...path]) }
    const problem = notAnObject(value)
    if (problem !== null) {
      problems.push({
        severity: 'error',
        ...where,
        line,
        path: problem.path,
        rule: problem.rule,
        message: problem.message,
      })
      return
    }
    const resource = value as Resource
    if (kindOf(resource) === null) {
      problems.push({ ...unknownKind(resource), ...where, line: lineOf(node, [...at, 'kind']) })
      if (options.keepUnknown) resources.push({ resource, ...place })
      return
    }
    const found = validateResource(resource)
    for (const one of found) problems.push({ ...one, ...where, line: lineOf(node, [...at, ...parsePath(one.path)]) })
    if (found.some(({ severity }) => severity === 'error')) return
    resources.push({ resource: completeResource(resource), ...place })
  }
}

function syntaxProblems(document: Document): { message: string; pos: number; severity: 'error' | 'warning' }[] {
  return [
    ...document.errors.map(({ message, pos }) => ({ message, pos: pos[0], severity: 'error' as const })),
    ...document.warnings.map(({ message, pos }) => ({ message, pos: pos[0], severity: 'warning' as const })),
  ]
}

/** The objects of a document: itself, or the items of a `List`, at any depth. */
function objectsOf(document: Document): Place[] {
  if (document.contents === null) return []
  const value: unknown = document.toJS({ maxAliasCount: 1000 })
  return value === null ? [] : flatten({ value, node: document.contents as Node, at: [] })
}

function flatten(place: Place): Place[] {
  const { value, node, at } = place
  if (Array.isArray(value)) return value.flatMap((item, index) => flatten({ value: item, node, at: [...at, index] }))
  if (typeof value !== 'object' || value === null) return [place]
  const { kind, items } = value as { kind?: unknown; items?: unknown }
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return [place]
  const member = kind === 'List' ? {} : impliedBy(value as { apiVersion?: unknown }, kind)
  return items.flatMap((item, index) => flatten({ value: { ...member, ...item }, node, at: [...at, 'items', index] }))
}

/** Items of a typed list (`PodList`) may leave out what the list says. */
function impliedBy(list: { apiVersion?: unknown }, kind: string): Record<string, unknown> {
  return { apiVersion: list.apiVersion, kind: kind.slice(0, -'List'.length) }
}

function notAnObject(value: unknown): { path: string; rule: string; message: string } | null {
  if (typeof value !== 'object' || value === null)
    return { path: '', rule: 'not-a-resource', message: 'a resource is a mapping' }
  const { apiVersion, kind, metadata } = value as Record<string, unknown>
  if (typeof apiVersion !== 'string' || apiVersion === '')
    return { path: 'apiVersion', rule: 'required', message: 'apiVersion is required' }
  if (typeof kind !== 'string' || kind === '') return { path: 'kind', rule: 'required', message: 'kind is required' }
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    return { path: 'metadata', rule: 'required', message: 'metadata is required' }
  }
  return null
}

/** Where the value at a path begins in the text; where its nearest existing ancestor does when it is absent. */
function startOf(root: Node, path: Path): number {
  let node: Node = root
  let start = node.range?.[0] ?? 0
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      )
      if (pair === undefined) break
      start = (isNode(pair.key) ? pair.key.range?.[0] : undefined) ?? start
      if (!isNode(pair.value)) break
      node = pair.value
    } else if (isSeq(node)) {
      const item = node.items[Number(step)]
      if (!isNode(item)) break
      node = item
      start = node.range?.[0] ?? start
    } else break
  }
  return start
}
