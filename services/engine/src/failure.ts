import { messageOf } from '@margay/kit/errors'

/** A failure as ClickHouse tells it: the number and name of its exception. */
export class Failure extends Error {
  readonly code: number
  constructor(code: number, name: string, message: string) {
    super(`Code: ${code}. DB::Exception: ${message}. (${name})`)
    this.code = code
  }
}

/** The number and the text of anything that a statement failed with; 1002 (UNKNOWN_EXCEPTION) when ClickHouse gave no number. */
export function failureOf(error: unknown, version: string): { readonly code: number; readonly text: string } {
  const message = messageOf(error).trim()
  const code = error instanceof Failure ? error.code : Number(/^Code: (\d+)\./.exec(message)?.[1] ?? 1002)
  const whole = message.startsWith('Code: ') ? message : `Code: ${code}. DB::Exception: ${message}. (UNKNOWN_EXCEPTION)`
  return { code, text: `${whole} (version ${version})\n` }
}

/** The HTTP status that ClickHouse gives to an exception: who can do something about it. */
export function statusOf(code: number): number {
  if ([516, 192, 193, 194, 497].includes(code)) return 403
  if ([60, 81, 16, 46, 47].includes(code)) return 404
  if ([6, 25, 26, 27, 36, 38, 41, 42, 43, 44, 50, 53, 57, 62, 69, 70, 72, 115, 117, 164, 456, 457].includes(code))
    return 400
  if (code === 159 || code === 160) return 408
  if (code === 202 || code === 241 || code === 252) return 503
  if (code === 48) return 501
  return 500
}
