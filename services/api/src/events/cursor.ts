import { MargayError } from '@margay/kit/errors'

/** Place of a row in the order of a page: its time and its place in the event log, which no two rows share. */
export interface Cursor {
  /** Unix milliseconds. */
  readonly time: number
  readonly partition: number
  readonly offset: number
  readonly index: number
}

/** Text of a cursor for URLs. */
export function formatCursor({ time, partition, offset, index }: Cursor): string {
  return [time, partition, offset, index].map((part) => part.toString(36)).join('-')
}

/** Reads what `formatCursor` wrote. Throws REQUEST_INVALID on other text. */
export function parseCursor(text: string): Cursor {
  if (/^[0-9a-z]{1,11}(-[0-9a-z]{1,11}){3}$/.test(text)) {
    const [time, partition, offset, index] = text.split('-').map((part) => Number.parseInt(part, 36)) as [
      number,
      number,
      number,
      number,
    ]
    if ([time, partition, offset, index].every(Number.isSafeInteger)) return { time, partition, offset, index }
  }
  throw new MargayError(
    'REQUEST_INVALID',
    'cursor: not one that this API gave: leave it out to begin at the first page',
    {
      status: 400,
    },
  )
}
