import { createHash } from 'node:crypto'

/** Lower-case hexadecimal SHA-256 of text or bytes. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/**
 * An identity that depends on its parts only, so that whatever is made twice from the same causes is the same thing.
 * The form is that of a UUID, version 8 (RFC 9562).
 */
export function stableId(...parts: readonly string[]): string {
  const hex = sha256(JSON.stringify(parts))
  const variant = ((Number.parseInt(hex[16] as string, 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
