import { createHash, timingSafeEqual } from 'node:crypto'
import { MargayError } from '@margay/kit/errors'

/** What decides whether a request may go on; all of it comes from the configuration. */
export interface AccessRules {
  /** Address that the API listens on. */
  readonly host: string
  readonly allowedHosts: readonly string[]
  /** Access token; null when none is configured. */
  readonly token: string | null
}

/** The parts of a request that access depends on. */
export interface AccessRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Address at our end of the connection. */
  readonly localAddress: string | undefined
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]']
const safeMethods = ['GET', 'HEAD', 'OPTIONS']

/** Whether an address can be reached from this machine only. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/**
 * Refuses to serve other machines without a token: the API can change policy.
 * Throws CONFIG_INVALID.
 */
export function requireSafeListener(host: string, token: string | null): void {
  if (isLoopback(host) || token !== null) return
  throw new MargayError(
    'CONFIG_INVALID',
    `api.host is ${host}, which other machines reach: set api.tokenFile to a file that holds an access token, or listen on 127.0.0.1`,
  )
}

/** Makes the check that every request passes first. It throws HOST_REFUSED, TOKEN_REFUSED or ORIGIN_REFUSED. */
export function createAccessCheck(rules: AccessRules): (request: AccessRequest) => void {
  const names = new Set(
    [...loopbackNames, bracketed(rules.host), ...rules.allowedHosts.map(bracketed)].map((name) => name.toLowerCase()),
  )
  const expected = rules.token === null ? null : digest(rules.token)
  return (request) => {
    requireHost(request, names)
    if (expected !== null && needsToken(request.path)) requireToken(request, expected)
    requireOrigin(request)
  }
}

/**
 * A page of another site can point its own name at this address (DNS rebinding) and then read answers as its own origin.
 * Its requests carry its name in Host. An address cannot be pointed elsewhere, so our own is always fine.
 */
function requireHost({ headers, localAddress }: AccessRequest, names: ReadonlySet<string>): void {
  const name = hostName(textOf(headers.host) ?? '')
  if (names.has(name)) return
  if (localAddress !== undefined && name === bracketed(localAddress.replace(/^::ffff:(?=\d)/, ''))) return
  throw new MargayError(
    'HOST_REFUSED',
    `this API does not serve the host ${JSON.stringify(name)}: add it to api.allowedHosts if it should`,
    { status: 421 },
  )
}

/** The console's own files are public, as they hold no data and a browser cannot send the token with a first visit. */
function needsToken(path: string): boolean {
  return path.startsWith('/v1/') || path === '/metrics' || path === '/openapi.json'
}

function requireToken({ headers }: AccessRequest, expected: Buffer): void {
  const given = /^Bearer +(\S+)$/i.exec(textOf(headers.authorization) ?? '')?.[1]
  // Digests have one length, so that the comparison takes the same time for every guess.
  if (given !== undefined && timingSafeEqual(digest(given), expected)) return
  throw new MargayError('TOKEN_REFUSED', 'this API asks for an access token: send "Authorization: Bearer <token>"', {
    status: 401,
  })
}

/** Browsers send Origin with writes and with streams across origins; other clients send none. */
function requireOrigin({ method, headers }: AccessRequest): void {
  const isStream = (textOf(headers.accept) ?? '').includes('text/event-stream')
  if (safeMethods.includes(method) && !isStream) return
  const origin = textOf(headers.origin)
  const host = (textOf(headers.host) ?? '').toLowerCase()
  const isSame = origin === undefined || [`http://${host}`, `https://${host}`].includes(origin.toLowerCase())
  if (isSame && textOf(headers['sec-fetch-site']) !== 'cross-site') return
  throw new MargayError(
    'ORIGIN_REFUSED',
    `a page of ${origin ?? 'another site'} may not do this: use the console that this API serves`,
    { status: 403 },
  )
}

const digest = (text: string) => createHash('sha256').update(text).digest()
const textOf = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value)
const bracketed = (host: string) => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)
const hostName = (host: string) => host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
