/** Longest name, in bytes on the wire (RFC 1035, 2.3.4). */
const longest = 255

/**
 * Reads a name of a DNS message, following compression pointers: lower case, without the final dot, and with `\.` or `\123` for what is
 * neither a letter nor a digit of ordinary names (RFC 1035, 5.1). `end` is where the name ends where it stands. Null when it is malformed:
 * a pointer leads backwards only, so that nothing can turn in circles.
 */
export function readName(message: Buffer, start: number): { readonly name: string; readonly end: number } | null {
  const labels: string[] = []
  let at = start
  let end = -1
  let lowest = start
  for (let bytes = 1; ; ) {
    const length = message[at]
    if (length === undefined) return null
    if (length >= 0xc0) {
      const low = message[at + 1]
      if (low === undefined) return null
      if (end < 0) end = at + 2
      at = ((length & 0x3f) << 8) | low
      if (at >= lowest) return null
      lowest = at
      continue
    }
    // The two other forms of a length byte were never put to use.
    if (length > 63) return null
    if (length === 0) return { name: labels.join('.'), end: end < 0 ? at + 1 : end }
    bytes += length + 1
    if (bytes > longest || at + 1 + length > message.length) return null
    labels.push(labelText(message, at + 1, at + 1 + length))
    at += length + 1
  }
}

function labelText(message: Buffer, start: number, end: number): string {
  let text = ''
  for (let at = start; at < end; at += 1) {
    const byte = message[at] as number
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 32)
    else if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += `\\${String(byte).padStart(3, '0')}`
  }
  return text
}

/** True of a name that a rule could mean: without labels that hold dots or odd bytes. */
export const isOrdinary = (name: string) => name !== '' && !name.includes('\\')
