/** A vector as it came: nothing is known of its members yet. */
export type Given = Readonly<Record<string, unknown>>

/** A vector that cannot be answered, because a member is absent or of the wrong kind. */
export class VectorError extends Error {
  readonly code = 'VECTOR_INVALID'

  constructor(message: string) {
    super(message)
    this.name = 'VectorError'
  }
}

/** The member as text. Throws VectorError. */
export function textOf(given: Given, member: string): string {
  const value = given[member]
  if (typeof value !== 'string') throw new VectorError(`${member} must be text`)
  return value
}

/** The member as an object. Throws VectorError. */
export function objectOf(given: Given, member: string): Given {
  const value = given[member]
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new VectorError(`${member} must be an object`)
  return value as Given
}

/**
 * The message of an error that says what is wrong. One that is no such error comes of members that no schema describes (those of a Node or an
 * EndpointSlice) and have the wrong type; what it says would help nobody.
 */
export function messageOf(error: unknown): string {
  const says = error instanceof Error && !(error instanceof TypeError || error instanceof RangeError)
  return says ? error.message : 'a member is of the wrong type'
}
