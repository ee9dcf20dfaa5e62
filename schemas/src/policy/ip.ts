import ipaddr from 'ipaddr.js'

/** An address in a form that compares: its family and its value as an unsigned integer. */
export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

/** A block of addresses: all those whose first `prefix` bits equal those of `value` (bits beyond are zero). */
export interface Cidr extends Address {
  readonly prefix: number
  /** False when the text had bits set beyond the prefix, as in `10.0.0.1/8`. */
  readonly masked: boolean
}

/** The value of a dotted IPv4 address, 0 to 2^32 - 1; -1 when the text is none (octets have no leading zeros). */
export function ipv4Number(text: string): number {
  const { length } = text
  if (length < 7 || length > 15) return -1
  let value = 0
  let octet = -1
  let dots = 0
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code === 46) {
      if (octet < 0 || ++dots > 3) return -1
      value = value * 256 + octet
      octet = -1
      continue
    }
    const digit = code - 48
    if (digit < 0 || digit > 9 || octet === 0) return -1
    octet = octet < 0 ? digit : octet * 10 + digit
    if (octet > 255) return -1
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1
}

/** Bits of an address of the family. */
export function addressBits(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128
}

/** Reads an IPv4 or IPv6 address; an IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) is read as IPv4. Null when it is none. */
export function parseAddress(text: string): Address | null {
  const number = ipv4Number(text)
  if (number >= 0) return { family: 4, value: BigInt(number) }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return null
  let value = 0n
  for (const part of ipaddr.IPv6.parse(text).parts) value = (value << 16n) | BigInt(part)
  if (value >> 32n === 0xffffn) return { family: 4, value: value & 0xffffffffn }
  return { family: 6, value }
}

/** The usual text of an address: dotted for IPv4, RFC 5952 for IPv6. */
function printAddress({ family, value }: Address): string {
  if (family === 4) {
    const number = Number(value)
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`
  }
  const parts: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) parts.push(Number((value >> shift) & 0xffffn))
  return new ipaddr.IPv6(parts).toRFC5952String()
}

/** The usual text of an address, or the text itself when it is no address. */
export function canonicalAddress(text: string): string {
  // Dotted text has one spelling only.
  if (!text.includes(':')) return text
  const address = parseAddress(text)
  return address === null ? text : printAddress(address)
}

function maskOf(family: 4 | 6, prefix: number): bigint {
  const bits = addressBits(family)
  return ((1n << BigInt(prefix)) - 1n) << BigInt(bits - prefix)
}

/** Reads `address/prefix`, or a single address as a block of one. Null when it is neither. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === null) return null
  const bits = addressBits(address.family)
  if (slash < 0) return { ...address, prefix: bits, masked: true }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return null
  const prefix = Number(digits)
  if (prefix > bits) return null
  const value = address.value & maskOf(address.family, prefix)
  return { family: address.family, value, prefix, masked: value === address.value }
}

/** The usual text of a block; a block of one address is written as the address alone. */
export function printCidr(cidr: Cidr): string {
  const address = printAddress(cidr)
  return cidr.prefix === addressBits(cidr.family) ? address : `${address}/${cidr.prefix}`
}

/** True when every address of `inner` (a block or an address) lies in `outer`. */
export function cidrContains(outer: Cidr, inner: Cidr | Address): boolean {
  if (outer.family !== inner.family) return false
  if ('prefix' in inner && inner.prefix < outer.prefix) return false
  return (inner.value & maskOf(outer.family, outer.prefix)) === outer.value
}

/** The value of an address cut to its first `prefix` bits. */
export function networkOf(address: Address, prefix: number): bigint {
  return address.value & maskOf(address.family, prefix)
}

function compare(a: Cidr, b: Cidr): number {
  if (a.family !== b.family) return a.family - b.family
  if (a.value !== b.value) return a.value < b.value ? -1 : 1
  return a.prefix - b.prefix
}

/**
 * The blocks of a list in their usual text, sorted (IPv4 first), without those that another covers.
 * Text that is no block is left out.
 */
export function canonicalCidrs(list: Iterable<string>): string[] {
  const cidrs = [...list].map(parseCidr).filter((cidr) => cidr !== null)
  cidrs.sort(compare)
  const kept: Cidr[] = []
  for (const cidr of cidrs) {
    const last = kept.at(-1)
    if (last === undefined || !cidrContains(last, cidr)) kept.push(cidr)
  }
  return kept.map(printCidr)
}
