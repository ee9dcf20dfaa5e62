/** Texts of addresses as the bytes that packets carry. Written for speed: sets hold a hundred thousand of them. */

/** The four bytes of an IPv4 address; null when the text is none. */
export function ipv4Bytes(text: string): Uint8Array | null {
  const bytes = new Uint8Array(4)
  let part = 0
  let value = -1
  for (let at = 0; at <= text.length; at += 1) {
    const code = at === text.length ? 0x2e : text.charCodeAt(at)
    if (code === 0x2e) {
      if (value < 0 || part > 3) return null
      bytes[part] = value
      part += 1
      value = -1
    } else if (code >= 0x30 && code <= 0x39) {
      value = (value < 0 ? 0 : value * 10) + code - 0x30
      if (value > 255) return null
    } else return null
  }
  return part === 4 ? bytes : null
}

/** The sixteen bytes of an IPv6 address, also with an IPv4 tail (RFC 4291, 2.2); null when the text is none. */
export function ipv6Bytes(text: string): Uint8Array | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const head = groups(halves[0] as string, halves.length === 1)
  const tail = halves.length === 2 ? groups(halves[1] as string, true) : []
  if (head === null || tail === null) return null
  const length = head.length + tail.length
  if (halves.length === 1 ? length !== 16 : length > 14) return null
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

function groups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (mayEndInIpv4 && index === parts.length - 1 && part.includes('.')) {
      const ipv4 = ipv4Bytes(part)
      if (ipv4 === null) return null
      bytes.push(...ipv4)
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return null
      const value = Number.parseInt(part, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

/** The bytes of a mask with `length` leading ones. */
export function maskBytes(length: number, size: number): Uint8Array {
  const mask = new Uint8Array(size)
  for (let at = 0; at < size; at += 1) {
    const ones = Math.min(8, Math.max(0, length - at * 8))
    mask[at] = (0xff << (8 - ones)) & 0xff
  }
  return mask
}

/** The address plus one; null when it is the last there is. */
export function nextAfter(bytes: Uint8Array): Uint8Array | null {
  const next = Uint8Array.from(bytes)
  for (let at = next.length - 1; at >= 0; at -= 1) {
    const value = (next[at] as number) + 1
    next[at] = value & 0xff
    if (value < 0x100) return next
  }
  return null
}
