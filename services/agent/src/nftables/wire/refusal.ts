import { getSystemErrorMap } from 'node:util'
import { MargayError } from '@margay/kit/errors'

/** One step of a transaction that was not taken. */
export interface Refusal {
  /** Its place among the changes; -1 when the transaction was refused as a whole. */
  readonly change: number
  /** What it is about, as in `rule "drop" of chain forward`. */
  readonly object: string
  /** Why, in words. */
  readonly reason: string
  /** Number of the kernel's error; 0 when it never got to the kernel. */
  readonly errno: number
  readonly cause: string | null
}

/** What the kernel means by an error number, where the usual words would mislead. */
const meanings: Readonly<Record<string, string>> = {
  ENOENT: 'it, or a chain, set or element that it names, does not exist; or the kernel lacks the feature',
  EEXIST: 'it exists already, differently, or overlaps with one that does',
  EBUSY: 'it is still in use',
  EINVAL: 'the kernel takes it for wrong',
  ERANGE: 'a value is too long or out of range',
  EMLINK: 'chains lead to one another in a circle, or too deep',
  ELOOP: 'chains lead to one another in a circle',
  EOPNOTSUPP: 'the kernel does not support it',
  EPERM: 'not permitted: run as root',
  ENOMEM: 'the kernel has no memory left',
  EMSGSIZE: 'the transaction is larger than the kernel takes at once',
  ENFILE: 'the set is full',
  EOVERFLOW: 'a value is out of range',
}

/** An error number of the kernel in words, with its name. */
export function errnoInWords(errno: number): string {
  const [name, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'no words for it']
  return `${meanings[name] ?? text} (${name})`
}

/**
 * The error of a transaction that was not done, NFT_REFUSED. Its message is about the first refusal, which is the one to trust: later
 * ones may follow from it. `details.refusals` has them all, `details.cause` that of the first.
 */
export function refused(table: string, refusals: readonly [Refusal, ...Refusal[]]): MargayError {
  const [{ object, reason, cause }] = refusals
  const others = refusals.length > 1 ? `, and ${refusals.length - 1} more` : ''
  return new MargayError(
    'NFT_REFUSED',
    `nothing of a transaction on table ${table} was done: ${object}${cause === null ? '' : `, of ${cause},`} was refused: ${reason}${others}`,
    { details: { refusals, cause } },
  )
}
