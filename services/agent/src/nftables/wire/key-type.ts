import { ipv4Bytes, ipv6Bytes, maskBytes } from './address.ts'

/** A type of key that sets are made of, as nft knows it. */
export interface KeyType {
  /** Its number in nft's own table of types, by which nft prints elements. */
  readonly id: number
  /** Bytes of a value. */
  readonly size: number
  /** nft's note of the order of its bytes: 0 of no matter, 1 of the machine, 2 of the network. */
  readonly byteOrder: 0 | 1 | 2
  /** The value of a text; null when the text is none. */
  parse(text: string): Uint8Array | null
}

/** Longest name of an interface, without the zero byte that ends it (linux/if.h, IFNAMSIZ). */
export const longestInterfaceName = 15

/** The number of a text that is decimal or, after 0x, hexadecimal; null when it is none, or larger than `most`. */
export function parseNumber(text: string, most: number): number | null {
  if (!/^(?:\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text)) return null
  const value = Number(text)
  return value <= most ? value : null
}

/** An unsigned number of so many bytes, in network order. */
function numberBytes(size: 1 | 2): KeyType['parse'] {
  return (text) => {
    const value = parseNumber(text, 2 ** (8 * size) - 1)
    if (value === null) return null
    return size === 1 ? Uint8Array.of(value) : Uint8Array.of(value >> 8, value & 0xff)
  }
}

/** A mark, in the order of the machine. */
function markBytes(text: string): Uint8Array | null {
  const value = parseNumber(text, 0xffffffff)
  if (value === null) return null
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** The name of an interface without its quotes; null when it is too long, empty, or a pattern. */
function interfaceBytes(text: string): Uint8Array | null {
  const name = text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
  const bytes = new Uint8Array(longestInterfaceName + 1)
  if (name === '' || name.length > longestInterfaceName || !/^[\x21-\x7e]+$/.test(name) || /["*\\]/.test(name))
    return null
  for (let at = 0; at < name.length; at += 1) bytes[at] = name.charCodeAt(at)
  return bytes
}

/** Types by the names that nft gives them. */
export const keyTypes: ReadonlyMap<string, KeyType> = new Map<string, KeyType>([
  ['ipv4_addr', { id: 7, size: 4, byteOrder: 2, parse: ipv4Bytes }],
  ['ipv6_addr', { id: 8, size: 16, byteOrder: 2, parse: ipv6Bytes }],
  ['inet_proto', { id: 12, size: 1, byteOrder: 0, parse: numberBytes(1) }],
  ['inet_service', { id: 13, size: 2, byteOrder: 2, parse: numberBytes(2) }],
  ['icmp_type', { id: 14, size: 1, byteOrder: 2, parse: numberBytes(1) }],
  ['icmpv6_type', { id: 29, size: 1, byteOrder: 2, parse: numberBytes(1) }],
  ['icmp_code', { id: 32, size: 1, byteOrder: 2, parse: numberBytes(1) }],
  ['mark', { id: 19, size: 4, byteOrder: 1, parse: markBytes }],
  ['icmpv6_code', { id: 33, size: 1, byteOrder: 2, parse: numberBytes(1) }],
  ['ifname', { id: 41, size: 16, byteOrder: 1, parse: interfaceBytes }],
])

/** First and last value of `VALUE`, `VALUE-VALUE` or `ADDRESS/LENGTH`; null when the text is none of them. */
export function parseRange(type: KeyType, text: string): readonly [first: Uint8Array, last: Uint8Array] | null {
  const slash = text.indexOf('/')
  if (slash >= 0) {
    const address = type.parse(text.slice(0, slash))
    const length = parseNumber(text.slice(slash + 1), type.size * 8)
    if (address === null || length === null || type.size < 4) return null
    const mask = maskBytes(length, type.size)
    return [
      address.map((byte, at) => byte & (mask[at] as number)),
      address.map((byte, at) => byte | (~(mask[at] as number) & 0xff)),
    ]
  }
  const dash = text.startsWith('"') ? -1 : text.indexOf('-')
  if (dash < 0) {
    const value = type.parse(text)
    return value === null ? null : [value, value]
  }
  const first = type.parse(text.slice(0, dash))
  const last = type.parse(text.slice(dash + 1))
  if (first === null || last === null || Buffer.compare(first, last) > 0) return null
  return [first, last]
}
