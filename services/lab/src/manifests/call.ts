import { milliseconds } from '@margay/schemas'

/** A call that a pod makes again and again. */
export interface Call {
  readonly scheme: 'http' | 'tcp' | 'udp' | 'dns'
  readonly host: string
  /** Null for `dns`. */
  readonly port: number | null
  readonly path: string
  readonly everyMs: number
  /** Where in the manifest it was found. */
  readonly origin: 'environment' | 'command' | 'annotation'
}

/** Annotation that adds traffic to a pod. */
export const callsAnnotation = 'margay.dev/lab-calls'

/** Time between two calls of an edge that the manifest gives no time for. */
export const defaultEveryMs = 1000

const form = /^(http|https|tcp|udp|dns):\/\/([^\s/:]+)(?::(\d{1,5}))?(\/\S*)?(?:\s+every\s+(\S+))?$/i

/** A call as users write it: `http://host[:port][/path]`, `tcp://host:port`, `udp://host:port`, `dns://name`. */
export function callUrl(call: Pick<Call, 'scheme' | 'host' | 'port' | 'path'>): string {
  return `${call.scheme}://${call.host}${call.port === null ? '' : `:${call.port}`}${call.path === '/' ? '' : call.path}`
}

/**
 * Reads the annotation `margay.dev/lab-calls`: calls separated by `;`, each `<url> every <duration>` (default 1s).
 * What cannot be read is returned as text, to be told to the user.
 */
export function parseCalls(text: string): { calls: Call[]; unread: string[] } {
  const calls: Call[] = []
  const unread: string[] = []
  for (const part of text.split(/[;\n]/).map((p) => p.trim())) {
    if (part === '') continue
    const call = parseCall(part)
    if (call === null) unread.push(part)
    else calls.push(call)
  }
  return { calls, unread }
}

function parseCall(part: string): Call | null {
  const match = form.exec(part)
  if (!match) return null
  const [, written = '', host = '', digits, path = '/', every] = match
  const scheme = written.toLowerCase()
  const given = digits === undefined ? null : Number(digits)
  const port = given ?? (scheme === 'http' ? 80 : scheme === 'https' ? 443 : null)
  if (scheme === 'dns') {
    if (given !== null) return null
  } else if (port === null || port < 1 || port > 65_535) return null
  let everyMs = defaultEveryMs
  if (every !== undefined) {
    try {
      everyMs = Math.max(10, milliseconds(every))
    } catch {
      return null
    }
  }
  // The lab speaks no TLS: a secure call is a connection.
  const spoken = scheme === 'https' ? 'tcp' : (scheme as Call['scheme'])
  return {
    scheme: spoken,
    host: host.toLowerCase(),
    port: scheme === 'dns' ? null : port,
    path,
    everyMs,
    origin: 'annotation',
  }
}
