import ipaddr from 'ipaddr.js'

/** A range of addresses. Both ends are included, as 32 hexadecimal digits: IPv4 is mapped into IPv6. */
export interface AddressRange {
  readonly first: string
  readonly last: string
}

const mappedPrefix = '00000000000000000000ffff'

/** An address as 32 hexadecimal digits that sort like the addresses themselves; null when the text is no address. */
export function addressDigits(text: string): string | null {
  if (!text.includes(':')) {
    const parts = text.split('.')
    if (parts.length !== 4) return null
    let digits = mappedPrefix
    for (const part of parts) {
      if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null
      digits += Number(part).toString(16).padStart(2, '0')
    }
    return digits
  }
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return null
  return ipaddr.IPv6.parse(text)
    .toByteArray()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}

/** The addresses that an address or a CIDR block (`10.0.0.0/8`) means; null when the text is neither. */
export function addressRange(text: string): AddressRange | null {
  const [address = '', length, ...rest] = text.split('/')
  const digits = addressDigits(address)
  if (digits === null || rest.length > 0) return null
  if (length === undefined) return { first: digits, last: digits }
  const bits = address.includes(':') ? 128 : 32
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return null
  const free = BigInt(bits - Number(length))
  const first = (BigInt(`0x${digits}`) >> free) << free
  const last = first + (1n << free) - 1n
  return { first: toDigits(first), last: toDigits(last) }
}

/** The text form (RFC 4291, uncompressed) of an address given as digits. */
export function addressText128(digits: string): string {
  return (digits.match(/.{4}/g) ?? []).join(':')
}

function toDigits(value: bigint): string {
  return value.toString(16).padStart(32, '0')
}
