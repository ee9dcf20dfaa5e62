import type { HttpHeaderMatch, HttpMatch, Packet } from './model.ts'

/** A request that an application proxy saw. */
export type HttpRequest = NonNullable<Packet['http']>

/** What of a request does not fit: the first of method, path and headers; null when it fits. */
export type HttpFault = 'method' | 'path' | 'header' | null

/** Holds a request against criteria (spec 5.3.3): methods and paths and headers must fit. */
export function httpFault({ methods, paths, headers }: HttpMatch, request: HttpRequest): HttpFault {
  if (methods.length > 0 && !methods.includes(request.method)) return 'method'
  if (paths.length > 0 && !matchPath(paths, normalPath(request.path))) return 'path'
  if (headers.length === 0) return null
  const given = new Map(Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
  return headers.every((header) => matchHeader(header, given.get(header.name) ?? null)) ? null : 'header'
}

function matchPath(paths: HttpMatch['paths'], path: string | null): boolean {
  if (path === null) return false
  return paths.some(({ type, path: text }) => {
    const wanted = normalPath(text) ?? text
    if (type === 'exact') return path === wanted
    // Whole segments: /a covers /a and /a/b, not /ab.
    const segments = wanted.replace(/\/$/, '')
    return path === segments || path.startsWith(`${segments}/`)
  })
}

function matchHeader({ operator, values }: HttpHeaderMatch, value: string | null): boolean {
  switch (operator) {
    case 'Exists':
      return value !== null
    case 'DoesNotExist':
      return value === null
    case 'HasPrefix':
      return value !== null && values.some((text) => value.startsWith(text))
    case 'HasSuffix':
      return value !== null && values.some((text) => value.endsWith(text))
    case 'In':
      return value !== null && values.includes(value)
    case 'NotIn':
      return value === null || !values.includes(value)
    case 'MatchesRegex':
      return value !== null && values.some((text) => headerPattern(text)?.test(value) === true)
  }
}

/** A pattern of MatchesRegex, which may match anywhere; a leading `(?i)` makes case not matter. Null when it cannot be read. */
export function headerPattern(text: string): RegExp | null {
  const anyCase = text.startsWith('(?i)')
  try {
    return new RegExp(anyCase ? text.slice('(?i)'.length) : text, anyCase ? 'i' : '')
  } catch {
    return null
  }
}

/**
 * The path that a request means (spec 14, 4.3): without query, fragment and `;parameters`, decoded once, `\` as `/`, `.` and `..` followed.
 * Null for one that does not begin with `/`, cannot be decoded, holds NUL, or hides `.`, `/` or `\` by coding them twice.
 */
export function normalPath(text: string): string | null {
  if (!text.startsWith('/')) return null
  let path: string
  try {
    path = decodeURIComponent(text.replace(/[?#].*$/s, ''))
  } catch {
    return null
  }
  if (path.includes('\0') || /%(?:2e|2f|5c)/i.test(path)) return null
  const kept: string[] = []
  const segments = path
    .replaceAll('\\', '/')
    .slice(1)
    .split('/')
    .map((segment) => segment.replace(/;.*$/s, ''))
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (isLast) kept.push('')
  }
  return `/${kept.join('/')}`
}
