/**
 * An error that a person or a caller can act on: a stable code, a message that says what failed, on which thing and what to do.
 * Every code is in the catalogue of the service that raises it (`errors.ts`) and in the reference.
 */
export class MargayError extends Error {
  readonly code: string
  /** HTTP status, when it reaches a client. */
  readonly status: number
  /** Further members of the problem document. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: string,
    message: string,
    options: { status?: number; cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = code
    this.code = code
    this.status = options.status ?? 500
    this.details = options.details ?? {}
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
