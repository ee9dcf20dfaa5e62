/** A query that cannot be understood: what is wrong, and which part of the text it is about. */
export class QueryError extends Error {
  override readonly name = 'QueryError'
  /** Offset of the part in the text, in UTF-16 code units from 0. */
  readonly position: number
  /** Length of the part; 0 when something is missing there. */
  readonly length: number

  constructor(message: string, position: number, length: number) {
    super(message)
    this.position = position
    this.length = length
  }
}
