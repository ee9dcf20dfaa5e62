import { StringDecoder } from 'node:string_decoder'

/** Lines that came together, and the number (from 1) of the first. A line that is too long is null. */
export interface LineBatch {
  readonly lines: readonly (string | null)[]
  readonly first: number
}

/**
 * Splits a stream of bytes (UTF-8) into lines, batch by batch as they come; the last needs no newline. Never holds more than one chunk and
 * one line of at most `longest` characters.
 */
export async function* linesOf(input: AsyncIterable<Buffer>, longest: number): AsyncGenerator<LineBatch> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  /** True while the rest of a line that is too long goes by. */
  let skipping = false
  let first = 1
  for await (const chunk of input) {
    const pieces = decoder.write(chunk).split('\n')
    pieces[0] = rest + pieces[0]
    rest = pieces.pop() as string
    const lines = pieces.map((line, index) => ((index === 0 && skipping) || line.length > longest ? null : line))
    if (pieces.length > 0) skipping = false
    if (rest.length > longest) {
      skipping = true
      rest = ''
    }
    if (lines.length === 0) continue
    yield { lines, first }
    first += lines.length
  }
  rest += decoder.end()
  if (rest !== '' || skipping) yield { lines: [skipping ? null : rest], first }
}
