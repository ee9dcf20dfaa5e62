import ipaddr from 'ipaddr.js'

/**
 * Networks in the form that nft accepts: strictly masked, none inside another, one family at a time.
 * nft 1.0.6 refuses overlapping intervals, so the reduction happens here.
 */

interface Network {
  readonly first: bigint
  readonly prefix: number
}

/** IP version. */
export type Family = 4 | 6

/** Networks of one family, reduced and sorted; text that is no network or address is left out. A host has no `/32`. */
export function canonicalNetworks(texts: Iterable<string>, family: Family): string[] {
  const bits = family === 4 ? 32 : 128
  const networks: Network[] = []
  for (const text of texts) {
    const network = parseNetwork(text, family)
    if (network !== null) networks.push(network)
  }
  networks.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.prefix - b.prefix))
  const kept: string[] = []
  let end = -1n
  for (const { first, prefix } of networks) {
    if (first <= end) continue
    end = first + (1n << BigInt(bits - prefix)) - 1n
    const address = formatAddress(first, family)
    kept.push(prefix === bits ? address : `${address}/${prefix}`)
  }
  return kept
}

/** 4 or 6, or null when the text is neither an address nor a network. */
export function familyOf(text: string): Family | null {
  const address = text.split('/', 1)[0] as string
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return 4
  return ipaddr.IPv6.isValid(address) ? 6 : null
}

function parseNetwork(text: string, family: Family): Network | null {
  const [address, length] = text.split('/') as [string, string?]
  if (familyOf(address) !== family) return null
  const bits = family === 4 ? 32 : 128
  const prefix = length === undefined ? bits : Number(length)
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) return null
  let value = 0n
  for (const byte of ipaddr.parse(address).toByteArray()) value = (value << 8n) | BigInt(byte)
  const host = BigInt(bits - prefix)
  return { first: (value >> host) << host, prefix }
}

function formatAddress(value: bigint, family: Family): string {
  const bytes: number[] = []
  for (let shift = family === 4 ? 24n : 120n; shift >= 0n; shift -= 8n) bytes.push(Number((value >> shift) & 0xffn))
  return ipaddr.fromByteArray(bytes).toString()
}
