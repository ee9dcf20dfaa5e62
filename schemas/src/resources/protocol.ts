/** IP protocol numbers by the names that resources use; the first name of a number is the one flow logs show. */
const numbers: readonly (readonly [string, number])[] = [
  ['icmp', 1],
  ['ipip', 4],
  ['tcp', 6],
  ['udp', 17],
  ['esp', 50],
  ['icmp6', 58],
  ['icmpv6', 58],
  ['sctp', 132],
  ['udplite', 136],
]

const byName = new Map(numbers)
const byNumber = new Map([...numbers].reverse().map(([name, number]) => [number, name]))

/** The number of a protocol given by name (any case) or number, 1 to 255; null when there is no such protocol. */
export function protocolNumber(protocol: string | number): number | null {
  if (typeof protocol === 'number')
    return Number.isInteger(protocol) && protocol >= 1 && protocol <= 255 ? protocol : null
  const named = byName.get(protocol.toLowerCase())
  if (named !== undefined) return named
  return /^[1-9]\d{0,2}$/.test(protocol) ? protocolNumber(Number(protocol)) : null
}

/** The name of a protocol as flow logs show it (`tcp`, `icmp6`), or its number as text. */
export function protocolName(number: number): string {
  return byNumber.get(number) ?? String(number)
}

/** True when packets of the protocol carry port numbers. */
export function hasPorts(number: number): boolean {
  return number === 6 || number === 17 || number === 132 || number === 136
}
